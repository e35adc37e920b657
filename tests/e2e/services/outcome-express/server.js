// SPDX-License-Identifier: Apache-2.0
// Ends requests in every way: see outcome_fastapi/api.py.
'use strict';
const http = require('http');
const express = require('express');
const { WebSocketServer } = require('ws');
const shop = require('../shop');
const truth = require('../truth');

const STEP_MS = 100;

const stream = async (res, pieces, ms) => {
  for (let i = 0; i < pieces; i += 1) {
    res.write('data: reed\n\n');
    await shop.sleep(ms / pieces);
  }
  res.end();
};
const piecesOf = (ms) => Math.max(1, Math.floor(ms / STEP_MS));
const cut = async (res) => {
  res.write('x'.repeat(100));
  await shop.sleep(20); // it has gone out
  res.socket.destroy();
};

const ways = {
  wait: async (res, ms, status) => {
    if (ms) await shop.sleep(ms);
    res.status(status).json({ waited: ms });
  },
  block: (res, ms, status) => {
    for (const end = Date.now() + ms; Date.now() < end;);
    res.status(status).json({ blocked: ms });
  },
  late: async (res, ms) => {
    await shop.sleep(ms);
    return stream(res, 1, 0);
  },
  chunks: (res, ms) => stream(res, piecesOf(ms), ms),
  events: (res, ms) => stream(res.type('text/event-stream'), piecesOf(ms), ms),
  trickle: (res, ms) => stream(res.set('Content-Length', '60'), 5, ms),
  cut: (res) => cut(res.set('Content-Length', '1000')),
  cut_chunks: (res) => cut(res),
};

const app = express();
app.get('/:name', (req, res) => {
  truth.begun('GET', req.path);
  const { how = 'wait', ms = 0, status = 200 } = req.query;
  return ways[how](res, Number(ms), Number(status));
});

const server = http.createServer(app);
new WebSocketServer({ server }).on('connection', (socket, req) => {
  truth.begun('GET', req.url.split('?')[0]);
  socket.on('message', (data) => socket.send(data.toString()));
});
server.listen(process.env.PORT, '127.0.0.1');
