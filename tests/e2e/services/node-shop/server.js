// SPDX-License-Identifier: Apache-2.0
'use strict';
require('../http-shop').listen(process.env.PORT, process.env.HOST || '127.0.0.1');
