// SPDX-License-Identifier: Apache-2.0
// See burn.py. CLOCK is clock.c, compiled.
'use strict';
const fs = require('fs');
const clock = require(process.env.CLOCK);

const fd = fs.openSync(process.env.TRUTH_FILE, 'a');
const SHARE = 0.2;
const TURN_MS = 20;
const IDLE_MS = 50; // from one look for BURN_FILE to the next

function burn(us) {
  const begin = clock.now();
  const end = begin + us * 1000;
  let now = begin;
  while (now < end) {
    for (let i = 0; i < 1000; i++);
    now = clock.now();
  }
  return now - begin;
}

const note = (path, cpu_ns) => fs.writeSync(fd, `${JSON.stringify({ path, cpu_ns })}\n`);

function background() {
  let before = clock.now();
  const turn = () => {
    const on = fs.existsSync(process.env.BURN_FILE);
    if (on) burn(SHARE * TURN_MS * 1000);
    const now = clock.now();
    note('background', now - before);
    before = now;
    setTimeout(turn, on ? (1 - SHARE) * TURN_MS : IDLE_MS);
  };
  turn();
}

// The timer loop shares its thread with requests: what it used is only what it burnt.
function backgroundTimer() {
  setInterval(() => {
    if (!fs.existsSync(process.env.BURN_FILE)) return;
    const begin = clock.now();
    burn(SHARE * TURN_MS * 1000);
    note('background', clock.now() - begin);
  }, TURN_MS);
}

module.exports = { burn, note, background, backgroundTimer };
