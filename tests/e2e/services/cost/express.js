// SPDX-License-Identifier: Apache-2.0
'use strict';
const express = require('express');
const { note } = require('./burn');
const kinds = require('./kinds');

const app = express();
app.get('/:kind/:name', async (req, res) => {
  note(req.path, await kinds[req.params.kind](Number(req.query.us)));
  res.send('burnt\n');
});
app.listen(process.env.PORT, '127.0.0.1');
