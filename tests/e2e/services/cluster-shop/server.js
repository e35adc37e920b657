// SPDX-License-Identifier: Apache-2.0
'use strict';
const cluster = require('cluster');

if (cluster.isPrimary) {
  cluster.fork();
  cluster.fork();
} else {
  require('../http-shop').listen(process.env.PORT, '127.0.0.1');
}
