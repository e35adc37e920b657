// SPDX-License-Identifier: Apache-2.0
// The application's own count of what it served: see truth.py, also for the times.
'use strict';
const fs = require('fs');

const fd = fs.openSync(process.env.TRUTH_FILE, 'a');

// Call it when the handler begins. 'finish' comes when the last byte went to the kernel; it stays
// away when the client has everything and is gone before a piped body has said that it ended,
// 'close' never does.
// The last byte is in the last write() or end() that has any, or after it, where end() ends chunks.
module.exports = (req, res) => {
  const begin = process.hrtime.bigint(); // CLOCK_MONOTONIC
  const path = req.url.split('?')[0];
  let handed = begin;
  let end;
  const { write, end: finish } = res;
  res.write = (...args) => {
    handed = process.hrtime.bigint();
    return write.apply(res, args);
  };
  res.end = (...args) => {
    if (args[0] && typeof args[0] !== 'function') handed = process.hrtime.bigint();
    return finish.apply(res, args);
  };
  res.on('finish', () => { end = process.hrtime.bigint(); });
  res.on('close', () => {
    end ??= process.hrtime.bigint();
    fs.writeSync(fd, JSON.stringify({
      method: req.method, path, status: res.statusCode,
      begin_ns: Number(begin), handed_ns: Number(handed), end_ns: Number(end),
    }) + '\n');
  });
};

// A line for a request that has begun; how it will end is not known.
module.exports.begun = (method, path) => {
  fs.writeSync(fd, JSON.stringify({
    method, path, begin_ns: Number(process.hrtime.bigint()), pid: process.pid,
  }) + '\n');
};
