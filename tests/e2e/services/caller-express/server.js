// SPDX-License-Identifier: Apache-2.0
// See caller_fastapi/api.py.
'use strict';
const http = require('http');
const https = require('https');
const axios = require('axios');
const express = require('express');

const callers = {
  async fetch(url, headers, timeout) {
    const response = await fetch(url, { headers, signal: AbortSignal.timeout(timeout) });
    await response.text();
    return response.status;
  },

  async axios(url, headers, timeout) {
    return (await axios.get(url, { headers, timeout, validateStatus: null })).status;
  },

  http: (url, headers, timeout) => new Promise((resolve, reject) => {
    const { get } = url.startsWith('https:') ? https : http;
    const request = get(url, { headers, timeout }, (response) => {
      response.on('error', reject).on('end', () => resolve(response.statusCode)).resume();
    });
    request.on('error', reject).on('timeout', () => request.destroy(new Error('timeout')));
  }),
};

const app = express();
app.get('/many/:library', async (req, res) => {
  const agent = new https.Agent({ keepAlive: true });
  const ask = {
    fetch: async (url) => callers.fetch(url, {}, 20000),
    axios: async (url) => (await axios.get(url, { httpsAgent: agent })).status,
    http: (url) => new Promise((resolve, reject) => {
      https.get(url, { agent }, (response) => {
        response.on('end', () => resolve(response.statusCode)).resume();
      }).on('error', reject);
    }),
  }[req.params.library];
  const session = async (port, i) => {
    const results = [];
    for (let n = 0; n <= i; n += 1) results.push(await ask(`https://localhost:${port}/`));
    return results;
  };
  res.json(await Promise.all([].concat(req.query.port).map(session)));
  agent.destroy();
});
app.get('/:library', async (req, res) => {
  const { url, count = 1, host, timeout = 20 } = req.query;
  const results = [];
  for (let i = 0; i < count; i += 1) {
    try {
      results.push(await callers[req.params.library](url, host ? { Host: host } : {},
        timeout * 1000));
    } catch (error) {
      results.push(error.cause?.code ?? error.code ?? error.name);
    }
  }
  res.json(results);
});
app.listen(process.env.PORT, '127.0.0.1');
