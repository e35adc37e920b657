// SPDX-License-Identifier: Apache-2.0
// Ends as it is asked to: at once with STILLBORN, at /exit/N with that code.
'use strict';
const { execFile } = require('child_process');

if (process.env.STILLBORN) process.exit(1);
require('http').createServer((req, res) => {
  const [, act, what] = req.url.split('/');
  if (act === 'exit') process.exit(Number(what));
  if (act === 'run') return execFile(what, () => res.end());
  return res.end();
}).listen(process.env.PORT, '127.0.0.1');
