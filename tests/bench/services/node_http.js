// SPDX-License-Identifier: Apache-2.0
// Hello world on Node's http; /any?status=N answers N, to make many series.
'use strict';
const http = require('http');
const served = require('./count');

http.createServer((req, res) => {
  served.count++;
  if (req.url !== '/hello') {
    res.statusCode = Number(req.url.split('?status=')[1]) || 404;
  }
  res.end('Hello, world\n');
}).listen(process.env.PORT, '127.0.0.1');
