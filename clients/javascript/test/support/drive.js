/**
 * The client as a process, for tests in another language: told what to do by its one argument (JSON), it writes what it
 * was told as lines of JSON, until its standard input ends.
 */

import { createInterface } from 'node:readline';

import { WebSocketService } from '../../src/index.js';

const { url, token, userId, types, options } = JSON.parse(process.argv[2]);
// It waits for a hundredth of what it might: the tests have no time, and no processor for a client that never waits.
const service = new WebSocketService(url, token, userId, { random: () => 0.01, ...options });
const NAMES = ['connected', 'disconnected', 'subscription_updated', 'connection_failed', 'gap', 'error', 'polling'];
for (const name of ['*', ...NAMES]) {
  service.on(name, (detail) => console.log(JSON.stringify({ told: name, detail })));
}
service.subscribe(types);
service.connect().catch(() => {});
createInterface({ input: process.stdin }).on('close', () => service.disconnect());
