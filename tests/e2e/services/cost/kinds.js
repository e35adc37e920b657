// SPDX-License-Identifier: Apache-2.0
// What a request to /KIND/NAME?us=N does: gives the ns of CPU that its N us took by the thread's
// own clock.
'use strict';
const http = require('http');
const path = require('path');
const { Worker } = require('worker_threads');
const { backgroundTimer, burn } = require('./burn');

const WAIT_MS = 10;
const THREADS = 2;
const agent = new http.Agent({ keepAlive: true });
const backend = { agent, port: process.env.BACKEND_PORT, path: '/slow?ms=2' };
const waiting = new Map(); // by id, what becomes of the answer of a worker
const workers = [];
let lastId = 0;

const ask = () => new Promise((resolve, reject) => {
  http.get(backend, (res) => res.on('end', resolve).resume()).on('error', reject);
});
const inTwo = async (us, between) => {
  const first = burn(us / 2);
  await between();
  return first + burn(us / 2);
};
const startWorker = (workerData) => new Worker(path.join(__dirname, 'worker.js'), { workerData });

module.exports = {
  loop: async (us) => burn(us),
  timer: (us) => inTwo(us, () => new Promise((resolve) => { setTimeout(resolve, WAIT_MS); })),
  backend: (us) => inTwo(us, ask),
  worker: (us) => new Promise((resolve) => {
    const id = ++lastId;
    waiting.set(id, resolve);
    workers[id % THREADS].postMessage({ id, us });
  }),
};

if (process.env.BACKGROUND === 'timer') backgroundTimer();
else startWorker('background');

for (let i = 0; i < THREADS; i++) {
  workers.push(startWorker().on('message', ({ id, cpuNs }) => {
    waiting.get(id)(cpuNs);
    waiting.delete(id);
  }));
}
