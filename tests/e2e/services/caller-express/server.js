// SPDX-License-Identifier: Apache-2.0
// See caller_fastapi/api.py.
'use strict';
const http = require('http');
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
    const request = http.get(url, { headers, timeout }, (response) => {
      response.on('error', reject).on('end', () => resolve(response.statusCode)).resume();
    });
    request.on('error', reject).on('timeout', () => request.destroy(new Error('timeout')));
  }),
};

const app = express();
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
