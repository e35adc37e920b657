// SPDX-License-Identifier: Apache-2.0
// Node's http at full speed: it counts in memory, and writes its count to TRUTH_FILE on SIGUSR2.
'use strict';
const fs = require('fs');
const http = require('http');

let count = 0;
http.createServer((req, res) => {
  count++;
  res.end('Hello, world\n');
}).listen(process.env.PORT, '127.0.0.1');

process.on('SIGUSR2', () => fs.writeFileSync(process.env.TRUTH_FILE, `${count}\n`));
