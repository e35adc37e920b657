// SPDX-License-Identifier: Apache-2.0
// What every Node shop sells: the bodies, and the durations of the routes that sleep.
'use strict';
const fs = require('fs');
const http = require('http');
const https = require('https');
const timers = require('timers/promises');

const { TLS_CERT, TLS_KEY } = process.env; // with them it is served by TLS

module.exports = {
  BIG: Buffer.alloc(1000000, 'x'),
  BIG_FILE: process.env.BIG_FILE, // 1 MB
  CHUNKS: ['one,', 'two,', 'three\n'],
  ITEM: { id: 1, name: 'reed' },
  SLEEPS_MS: [1, 10, 100, 1000],
  sleep: timers.setTimeout,
  TLS: TLS_CERT ? { cert: fs.readFileSync(TLS_CERT), key: fs.readFileSync(TLS_KEY) } : null,

  createServer(handler) {
    const { TLS } = module.exports;
    const server = TLS ? https.createServer(TLS, handler) : http.createServer(handler);
    server.keepAliveTimeout = 60000; // see IDLE_S in frameworks.py
    return server;
  },

  // Writes the chunks to a response, sleeping after the first.
  async stream(res, sleepMs = 0) {
    const [first, ...rest] = module.exports.CHUNKS;
    res.write(first);
    if (sleepMs) await timers.setTimeout(sleepMs);
    for (const chunk of rest) res.write(chunk);
    res.end();
  },
};
