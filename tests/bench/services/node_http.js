// SPDX-License-Identifier: Apache-2.0
// Hello world on Node's http; /any?status=N answers N, to make many series. With TLS_CERT and
// TLS_KEY on https; with WORK_US a request takes so much CPU time first.
'use strict';
const fs = require('fs');
const served = require('./count');

const { TLS_CERT, TLS_KEY, WORK_US, PORT } = process.env;
const { createServer } = require(TLS_CERT ? 'https' : 'http');
const options = TLS_CERT
  ? { cert: fs.readFileSync(TLS_CERT), key: fs.readFileSync(TLS_KEY) } : {};

function cpuUs() {
  const { user, system } = process.cpuUsage();
  return user + system;
}

createServer(options, (req, res) => {
  served.count++;
  if (WORK_US) {
    const end = cpuUs() + Number(WORK_US);
    while (cpuUs() < end);
  }
  if (req.url !== '/hello') {
    res.statusCode = Number(req.url.split('?status=')[1]) || 404;
  }
  res.end('Hello, world\n');
}).listen(PORT, '127.0.0.1');
