// SPDX-License-Identifier: Apache-2.0
// HTTPS on one port: HTTP/2 where ALPN says so, else HTTP/1.1. /ask?port=N&count=N asks another
// such server that often, on one connection of HTTP/2.
'use strict';
const fs = require('fs');
const http2 = require('http2');
const truth = require('../truth');

const { TLS_CERT, TLS_KEY, PORT } = process.env;
const options = {
  cert: fs.readFileSync(TLS_CERT), key: fs.readFileSync(TLS_KEY), allowHTTP1: true,
};

const ask = (session) => new Promise((resolve, reject) => {
  const stream = session.request({ ':path': '/asked' });
  stream.on('response', (headers) => {
    stream.resume();
    stream.on('end', () => resolve(headers[':status']));
  });
  stream.on('error', reject);
});

const askAll = async (port, count) => {
  const session = http2.connect(`https://localhost:${port}`, {
    ca: options.cert, lookup: (name, _, done) => done(null, [{ address: '127.0.0.1', family: 4 }]),
  });
  const statuses = [];
  while (statuses.length < count) statuses.push(await ask(session));
  session.close();
  return statuses;
};

http2.createSecureServer(options, async (req, res) => {
  truth(req, res);
  const { pathname, searchParams } = new URL(req.url, 'https://localhost');
  if (pathname === '/ask') {
    res.end(JSON.stringify(await askAll(searchParams.get('port'), searchParams.get('count'))));
  } else {
    req.resume();
    req.on('end', () => res.end(`HTTP/1.1 200 OK\r\n\r\nby HTTP/${req.httpVersion}`));
  }
}).listen(PORT, '127.0.0.1');
