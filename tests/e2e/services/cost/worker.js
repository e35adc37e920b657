// SPDX-License-Identifier: Apache-2.0
// A worker thread: burns what it is asked to, or, asked for nothing, in the background.
'use strict';
const { parentPort, workerData } = require('worker_threads');
const { background, burn } = require('./burn');

if (workerData === 'background') background();
else parentPort.on('message', ({ id, us }) => parentPort.postMessage({ id, cpuNs: burn(us) }));
