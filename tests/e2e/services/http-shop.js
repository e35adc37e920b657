// SPDX-License-Identifier: Apache-2.0
// The shop on Node's http alone; node-shop and cluster-shop serve it.
'use strict';
const fs = require('fs');
const shop = require('./shop');
const truth = require('./truth');

const json = (res, status, body) => {
  res.writeHead(status, { 'Content-Type': 'application/json' });
  res.end(JSON.stringify(body));
};
const ok = (req, res) => json(res, 200, shop.ITEM);
const big = (req, res) => res.end(shop.BIG);
const file = (req, res) => {
  res.setHeader('Content-Length', shop.BIG.length);
  fs.createReadStream(shop.BIG_FILE).pipe(res);
};
const create = (req, res) => {
  const chunks = [];
  req.on('data', (chunk) => chunks.push(chunk));
  req.on('end', () => json(res, 201, JSON.parse(Buffer.concat(chunks))));
};
const sleep = async (req, res, ms, kind) => {
  if (kind === 'streamed') return shop.stream(res, Number(ms));
  await shop.sleep(Number(ms));
  return { plain: ok, big, file }[kind](req, res);
};

const routes = [
  [/^(?:GET|HEAD) \/ok$/, ok],
  [/^POST \/items$/, create],
  [/^DELETE \/items\/\d+$/, (req, res) => res.writeHead(204).end()],
  [/^GET \/users\/\d+$/, ok],
  [/^GET \/cached$/, (req, res) => res.writeHead(304, { ETag: '"1"' }).end()],
  [/^GET \/fail$/, (req, res) => json(res, 500, { detail: 'broken' })],
  [/^\w+ \/readonly$/, (req, res) => json(res, req.method === 'GET' ? 200 : 405, shop.ITEM)],
  [/^GET \/stream$/, (req, res) => shop.stream(res)],
  [/^GET \/big$/, big],
  [/^GET \/file$/, file],
  [/^GET \/sleep(\d+)\/(\w+)(?:\/\w+)?$/, sleep],
  [/^/, (req, res) => json(res, 404, {})],
];

module.exports = shop.createServer((req, res) => {
  truth(req, res);
  const target = `${req.method} ${req.url.split('?')[0]}`;
  const [pattern, handler] = routes.find(([p]) => p.test(target));
  handler(req, res, ...pattern.exec(target).slice(1));
});
