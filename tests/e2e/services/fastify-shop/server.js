// SPDX-License-Identifier: Apache-2.0
'use strict';
const fs = require('fs');
const { Readable } = require('stream');
const shop = require('../shop');
const app = require('fastify')({ https: shop.TLS });
const truth = require('../truth');

async function* chunks(ms = 0) {
  const [first, ...rest] = shop.CHUNKS;
  yield first;
  if (ms) await shop.sleep(ms);
  yield* rest;
}

const ok = async () => shop.ITEM;
const big = async () => shop.BIG;
const file = async (req, reply) =>
  reply.header('Content-Length', shop.BIG.length).send(fs.createReadStream(shop.BIG_FILE));
const stream = (ms) => async (req, reply) => reply.send(Readable.from(chunks(ms)));

app.addHook('onRequest', async (req, reply) => truth(req.raw, reply.raw));
app.get('/ok', ok); // HEAD as well
app.post('/items', async (req, reply) => reply.code(201).send(req.body));
app.delete('/items/:id', async (req, reply) => reply.code(204).send());
app.get('/users/:id', ok);
app.get('/cached', async (req, reply) => reply.header('ETag', '"1"').code(304).send());
app.get('/fail', async () => { throw new Error('broken'); });
app.get('/readonly', ok);
app.post('/readonly', async (req, reply) => reply.code(405).send({}));
app.get('/stream', stream());
app.get('/big', big);
app.get('/file', file);
for (const ms of shop.SLEEPS_MS) {
  const later = (handler) => async (req, reply) => {
    await shop.sleep(ms);
    return handler(req, reply);
  };
  app.get(`/sleep${ms}/plain`, later(ok));
  app.get(`/sleep${ms}/streamed`, stream(ms));
  app.get(`/sleep${ms}/big`, later(big));
  app.get(`/sleep${ms}/file`, later(file));
}
app.listen({ port: Number(process.env.PORT), host: '127.0.0.1' });
