// SPDX-License-Identifier: Apache-2.0
// Hello world on Express; with BENCH_PROM=1 behind express-prom-bundle.
'use strict';
const express = require('express');
const served = require('./count');

const app = express();
if (process.env.BENCH_PROM) {
  app.use(require('express-prom-bundle')({ includeMethod: true, includePath: true }));
}
app.get('/hello', (req, res) => {
  served.count++;
  res.send('Hello, world\n');
});
app.listen(process.env.PORT, '127.0.0.1');
