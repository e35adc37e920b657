// SPDX-License-Identifier: Apache-2.0
// What every Node shop sells: the bodies, and the durations of the routes that sleep.
'use strict';
const timers = require('timers/promises');

module.exports = {
  BIG: Buffer.alloc(1000000, 'x'),
  BIG_FILE: process.env.BIG_FILE, // 1 MB
  CHUNKS: ['one,', 'two,', 'three\n'],
  ITEM: { id: 1, name: 'reed' },
  SLEEPS_MS: [1, 10, 100, 1000],
  sleep: timers.setTimeout,

  // Writes the chunks to a response, sleeping after the first.
  async stream(res, sleepMs = 0) {
    const [first, ...rest] = module.exports.CHUNKS;
    res.write(first);
    if (sleepMs) await timers.setTimeout(sleepMs);
    for (const chunk of rest) res.write(chunk);
    res.end();
  },
};
