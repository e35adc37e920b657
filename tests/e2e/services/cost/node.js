// SPDX-License-Identifier: Apache-2.0
'use strict';
const http = require('http');
const { note } = require('./burn');
const kinds = require('./kinds');

http.createServer(async (req, res) => {
  const [path, query] = req.url.split('?us=');
  note(path, await kinds[path.split('/')[1]](Number(query)));
  res.end('burnt\n');
}).listen(process.env.PORT, '127.0.0.1');
