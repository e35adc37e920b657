// SPDX-License-Identifier: Apache-2.0
// See server.py.
'use strict';
const shop = require('../shop');

for (const port of [...process.env.MANY_PORTS.split(','), process.env.PORT]) {
  shop.createServer(async (req, res) => {
    await shop.sleep(port % 7);
    res.end('reed');
  }).listen(port, '127.0.0.1');
}
