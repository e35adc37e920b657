// SPDX-License-Identifier: Apache-2.0
// HTTP and HTTPS on one loop. /asks/.. asks another such server by both, on connections that stay.
'use strict';
const fs = require('fs');
const http = require('http');
const https = require('https');
const truth = require('../truth');

const { TLS_CERT, TLS_KEY, PORT, TLS_PORT, OTHER_PORT, OTHER_TLS_PORT } = process.env;
const cert = fs.readFileSync(TLS_CERT);
const agents = {
  http: new http.Agent({ keepAlive: true, maxSockets: 4 }),
  https: new https.Agent({ keepAlive: true, maxSockets: 4, ca: cert }),
};

const ask = (module, scheme, port) => new Promise((resolve, reject) => {
  const path = `/asked-by-${scheme}`;
  module.get({ host: '127.0.0.1', port, path, agent: agents[scheme] }, (res) => {
    res.resume();
    res.on('end', () => resolve(res.statusCode));
  }).on('error', reject);
});

const serve = async (req, res) => {
  truth(req, res);
  if (req.url.startsWith('/asks')) {
    await Promise.all([ask(https, 'https', OTHER_TLS_PORT), ask(http, 'http', OTHER_PORT)]);
  }
  res.end(req.url);
};

const secure = https.createServer({ cert, key: fs.readFileSync(TLS_KEY) }, serve);
secure.listen(TLS_PORT, '127.0.0.1', () => http.createServer(serve).listen(PORT, '127.0.0.1'));
