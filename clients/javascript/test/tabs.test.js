import assert from 'node:assert/strict';
import { test } from 'node:test';

import { authenticated, event, settled } from './support/fakes.js';
import { browser } from './support/browser.js';
import { makeService } from './support/service.js';

/** So many tabs of one browser, connecting one after the other. */
function tabs(count, options = {}) {
  const { platform } = browser();
  return Array.from({ length: count }, () =>
    makeService({ shareTabs: true, tabPlatform: platform, ...options }),
  );
}

test('tabs share one connection, and each is told what it wants', async () => {
  const [one, two] = tabs(2);
  one.service.subscribe('order_created');
  two.service.subscribe('order_ready');
  one.service.connect();
  one.welcome();
  const connected = two.service.connect();
  await connected;
  assert.equal(two.sockets.length, 0);
  assert.equal(two.service.getStatus().isConnected, true);
  one.clock.advance(100);
  assert.deepEqual(one.socket.sent.slice(1), [
    { type: 'subscribe', events: ['order_created'] },
    { type: 'subscribe', events: ['order_ready'] },
  ]);
  one.socket.say(event(42));
  one.socket.say(event(43, { event_type: 'order_ready' }));
  assert.deepEqual(one.seqs, [42]);
  assert.deepEqual(two.seqs, [43]);
  assert.deepEqual(one.service.getStatus().subscriptions, ['order_created']);
  assert.deepEqual(two.service.getStatus(), {
    isConnected: true,
    subscriptions: ['order_ready'],
    queuedMessages: 0,
    reconnectAttempts: 0,
  });
});

test('when the tab with the connection goes, the next one goes on where it was', async () => {
  const [one, two, three] = tabs(3);
  for (const tab of [one, two, three]) {
    tab.service.subscribe('*');
    tab.service.connect();
  }
  one.welcome();
  one.socket.say(event(42));
  one.service.disconnect();
  await settled();
  assert.equal(three.sockets.length, 0);
  assert.equal(two.sockets.length, 1);
  two.socket.open();
  assert.deepEqual(two.socket.sent[0].resume, { epoch: 'epoch_1', seq: 42, events: ['*'] });
  two.socket.say(authenticated({ seq: 42, recovered: true }));
  two.socket.say(event(42));
  two.socket.say(event(43));
  assert.deepEqual([one.seqs, two.seqs, three.seqs], [[42], [42, 43], [42, 43]]);
  assert.ok(!three.names.includes('gap'));
});

test('what only a tab that is gone wanted is unsubscribed', () => {
  const [one, two] = tabs(2);
  one.service.subscribe('order_created');
  two.service.subscribe('order_ready');
  one.service.connect();
  two.service.connect();
  one.welcome();
  assert.deepEqual(one.socket.sent.at(-1), { type: 'subscribe', events: ['order_created', 'order_ready'] });
  one.clock.advance(100);
  two.service.disconnect();
  assert.deepEqual(one.socket.sent.at(-1), { type: 'unsubscribe', events: ['order_ready'] });
  assert.ok(two.names.includes('disconnected'));
  assert.equal(two.service.getStatus().isConnected, false);
});

test('the tabs without the connection hear of its losses', () => {
  const [one, two] = tabs(2, { failuresUntilTold: 2 });
  one.service.connect();
  two.service.connect();
  one.welcome();
  one.socket.end(1006);
  assert.equal(two.service.getStatus().isConnected, false);
  assert.equal(two.service.getStatus().reconnectAttempts, 1);
  one.clock.advance(1_000);
  one.socket.end(1006);
  assert.deepEqual(two.names, ['connected', 'disconnected', 'reconnecting', 'reconnecting', 'connection_failed']);
});

test('a tab that the server will not have lets the next one try', async () => {
  const [one, two] = tabs(2);
  const first = one.service.connect();
  two.service.connect();
  one.socket.open();
  one.socket.end(4401);
  await assert.rejects(first, { code: 4401, final: true });
  await settled();
  assert.equal(two.sockets.length, 1);
  two.welcome();
  assert.equal(two.service.getStatus().isConnected, true);
  assert.equal(one.service.getStatus().isConnected, false);
  assert.ok(!two.names.includes('connection_failed'));
  await one.service.connect();
  assert.equal(one.service.getStatus().isConnected, true);
  assert.equal(one.sockets.length, 1);
});

test('a tab that leaves before it has its turn never leads', async () => {
  const [one, two] = tabs(2);
  one.service.connect();
  const second = two.service.connect();
  two.service.disconnect();
  await assert.rejects(second, { code: 1000 });
  one.service.disconnect();
  await settled();
  assert.equal(two.sockets.length, 0);
});

test('a type that a tab asked for and the catalogue does not have harms no other tab', () => {
  const [one, two] = tabs(2);
  one.service.subscribe('order_created');
  one.service.connect();
  two.service.connect();
  one.welcome();
  one.clock.advance(100);
  two.service.subscribe('order_exploded');
  one.socket.say({ type: 'error', code: 'unknown_event_type', events: ['order_exploded'] });
  one.clock.advance(100);
  assert.deepEqual(one.socket.sent.at(-1), { type: 'subscribe', events: ['order_created'] });
  assert.deepEqual(two.service.getStatus().subscriptions, []);
  assert.ok(two.names.includes('error'));
});

test('where a browser cannot share, each tab has its own connection', () => {
  const alone = makeService({ shareTabs: true, tabPlatform: undefined });
  alone.service.connect();
  alone.welcome();
  assert.equal(alone.service.getStatus().isConnected, true);
});
