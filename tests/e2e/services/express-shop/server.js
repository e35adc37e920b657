// SPDX-License-Identifier: Apache-2.0
'use strict';
const express = require('express');
const shop = require('../shop');
const truth = require('../truth');

const ok = (req, res) => res.json(shop.ITEM);
const big = (req, res) => res.send(shop.BIG);
const file = (req, res) => res.sendFile(shop.BIG_FILE);

const app = express();
app.use((req, res, next) => { truth(req, res); next(); });
app.get('/ok', ok); // HEAD as well
app.post('/items', express.json(), (req, res) => res.status(201).json(req.body));
app.delete('/items/:id', (req, res) => res.sendStatus(204));
app.get('/users/:id', ok);
app.get('/cached', (req, res) => res.set('ETag', '"1"').status(304).end());
app.get('/fail', () => { throw new Error('broken'); });
app.route('/readonly').get(ok).all((req, res) => res.sendStatus(405));
app.get('/stream', (req, res) => shop.stream(res));
app.get('/big', big);
app.get('/file', file);
for (const ms of shop.SLEEPS_MS) {
  const later = (handler) => async (req, res) => { await shop.sleep(ms); handler(req, res); };
  app.get(`/sleep${ms}/plain`, later(ok));
  app.get(`/sleep${ms}/streamed`, (req, res) => shop.stream(res, ms));
  app.get(`/sleep${ms}/big`, later(big));
  app.get(`/sleep${ms}/file`, later(file));
}
shop.createServer(app).listen(process.env.PORT, '127.0.0.1');
