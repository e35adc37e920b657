// SPDX-License-Identifier: Apache-2.0
// The service's own count of the requests it began to serve, appended to TRUTH_FILE on SIGUSR2.
'use strict';
const fs = require('fs');

const served = { count: 0 };
process.on('SIGUSR2', () => fs.appendFileSync(process.env.TRUTH_FILE, `${served.count}\n`));
module.exports = served;
