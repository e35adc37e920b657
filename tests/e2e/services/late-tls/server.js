// SPDX-License-Identifier: Apache-2.0
// Serves plain HTTP; HTTPS too on port TLS_PORT, or, from /serve?port=N on, on that one; and asks
// at /call?port=N&count=N one HTTPS server that often, each time by a session of its own; or at
// /call-at-once, for a given path.
'use strict';
const fs = require('fs');
const http = require('http');

const { PORT, TLS_PORT, TLS_CERT, TLS_KEY } = process.env;

const call = (port, path = '/ok') => new Promise((resolve, reject) => {
  require('https').get({ host: '127.0.0.1', port, path, agent: false }, (res) => {
    res.resume();
    res.on('end', () => resolve(res.statusCode));
  }).on('error', reject);
});

async function answer(req, res) {
  const { pathname, searchParams } = new URL(req.url, 'http://localhost');
  const port = Number(searchParams.get('port'));
  if (pathname === '/serve') {
    serve(port, () => res.end('serving'));
  } else if (pathname === '/call') {
    const statuses = [];
    while (statuses.length < searchParams.get('count')) statuses.push(await call(port));
    res.end(JSON.stringify(statuses));
  } else if (pathname === '/call-at-once') {
    const calls = Array.from({ length: searchParams.get('count') },
      () => call(port, searchParams.get('path')));
    res.end(JSON.stringify(await Promise.all(calls)));
  } else {
    res.end('an answer of some length');
  }
}

function serve(port, done) {
  const options = { cert: fs.readFileSync(TLS_CERT), key: fs.readFileSync(TLS_KEY) };
  require('https').createServer(options, answer).listen(port, '127.0.0.1', done);
}

const start = () => http.createServer(answer).listen(PORT, '127.0.0.1');
if (TLS_PORT) serve(Number(TLS_PORT), start);
else start();
