// SPDX-License-Identifier: Apache-2.0
// The application's own count of what it served: see truth.py.
'use strict';
const fs = require('fs');

const fd = fs.openSync(process.env.TRUTH_FILE, 'a');

// Call it when the handler begins. 'finish' comes when the last byte went to the kernel; it stays
// away when the client has everything and is gone before a piped body has said that it ended,
// 'close' never does.
module.exports = (req, res) => {
  const begin = process.hrtime.bigint(); // CLOCK_MONOTONIC
  const path = req.url.split('?')[0];
  let end;
  res.on('finish', () => { end = process.hrtime.bigint(); });
  res.on('close', () => {
    const duration = (end ?? process.hrtime.bigint()) - begin;
    fs.writeSync(fd, JSON.stringify({
      method: req.method, path, status: res.statusCode,
      begin_ns: Number(begin), duration_ns: Number(duration),
    }) + '\n');
  });
};
