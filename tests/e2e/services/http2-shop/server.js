// SPDX-License-Identifier: Apache-2.0
// HTTPS on one port: HTTP/2 where ALPN says so, else HTTP/1.1; on another HTTP/2 without TLS.
// /ask?origin=URL&count=N asks another such server that often, on one connection of HTTP/2.
'use strict';
const fs = require('fs');
const http2 = require('http2');
const truth = require('../truth');

const { TLS_CERT, TLS_KEY, PORT, PLAIN_PORT } = process.env;
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

const askAll = async (origin, count) => {
  const session = http2.connect(origin, {
    ca: options.cert, lookup: (name, _, done) => done(null, [{ address: '127.0.0.1', family: 4 }]),
  });
  const statuses = [];
  while (statuses.length < count) statuses.push(await ask(session));
  session.close();
  return statuses;
};

const handle = async (req, res) => {
  truth(req, res);
  const { pathname, searchParams } = new URL(req.url, 'https://localhost');
  if (pathname === '/ask') {
    res.end(JSON.stringify(await askAll(searchParams.get('origin'), searchParams.get('count'))));
  } else {
    req.resume();
    req.on('end', () => res.end(`HTTP/1.1 200 OK\r\n\r\nby HTTP/${req.httpVersion}`));
  }
};

http2.createServer(handle).listen(PLAIN_PORT, '127.0.0.1', () => {
  http2.createSecureServer(options, handle).listen(PORT, '127.0.0.1');
});
