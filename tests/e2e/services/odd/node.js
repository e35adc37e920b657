// SPDX-License-Identifier: Apache-2.0
// Odd things to do with Node's http.
'use strict';
const http = require('http');
const truth = require('../truth');

const server = http.createServer((req, res) => {
  truth(req, res);
  // the path, also of an absolute-form target
  const path = req.url.replace(/^https?:\/\/[^/]*/, '');
  if (path === '/600-writes') { // one writev of many iovecs
    for (let i = 0; i < 600; i++) res.write('x');
    return res.end();
  }
  if (path === '/600-sends') { // as many sends
    let n = 0;
    const more = () => (n++ < 600 ? res.write('x', () => setImmediate(more)) : res.end());
    return more();
  }
  if (path === '/zero-chunks') { // 20 ms apart, sends that end like the last chunk and are not
    const chunks = ['a', '0\r\n\r\n', '0\r\n', 'b\r\n0\r\n', 'c'];
    const more = () => {
      if (chunks.length) res.write(chunks.shift(), () => setTimeout(more, 20));
      else res.end();
    };
    return more();
  }
  if (path === '/early') { // answers before it reads the body, and closes
    res.writeHead(413, { Connection: 'close' });
    return res.end('too large');
  }
  if (path === '/early-kept') { // answers before it reads the body, and reads on
    res.end('soon');
    return req.resume();
  }
  req.resume();
  req.on('end', () => res.end('fine'));
});

server.on('connect', (req, socket) => { // a tunnel that answers with what looks like HTTP
  socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
  socket.on('data', () => {
    socket.write('HTTP/1.1 500 From The Tunnel\r\nContent-Length: 0\r\n\r\n');
  });
  socket.on('error', () => {});
});

server.on('upgrade', (req, socket) => {
  socket.write('HTTP/1.1 101 Switching Protocols\r\n' +
    'Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n');
  socket.on('data', () => {
    socket.write('HTTP/1.1 500 From The Socket\r\nContent-Length: 0\r\n\r\n');
  });
  socket.on('error', () => {});
});

server.listen(process.env.PORT, '127.0.0.1');
