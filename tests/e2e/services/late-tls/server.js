// SPDX-License-Identifier: Apache-2.0
// Serves plain HTTP, and at /serve?port=N begins to serve HTTPS there.
'use strict';
const fs = require('fs');
const http = require('http');

function serve(port, done) {
  const { TLS_CERT, TLS_KEY } = process.env;
  const options = { cert: fs.readFileSync(TLS_CERT), key: fs.readFileSync(TLS_KEY) };
  require('https').createServer(options, (req, res) => res.end('by TLS'))
    .listen(port, '127.0.0.1', done);
}

http.createServer((req, res) => {
  const { pathname, searchParams } = new URL(req.url, 'http://localhost');
  if (pathname === '/serve') {
    serve(Number(searchParams.get('port')), () => res.end('serving'));
  } else {
    res.end('plain');
  }
}).listen(process.env.PORT, '127.0.0.1');
