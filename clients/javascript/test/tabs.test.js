import assert from 'node:assert/strict';
import { test } from 'node:test';

import { FLUSH_MS } from '../src/session.js';
import { authenticated, event, settled } from './support/fakes.js';
import { browser } from './support/browser.js';
import { makeService } from './support/service.js';

/** So many tabs of one browser, each with its `window` and a way to `crash`. */
function tabs(count, options = {}, within = browser()) {
  return Array.from({ length: count }, () => {
    const { platform, window, crash } = within.tab();
    const at = makeService({ shareTabs: true, tabPlatform: platform, ...options });
    return Object.assign(at, { window, crash });
  });
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
  one.clock.advance(FLUSH_MS);
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
  one.clock.advance(FLUSH_MS);
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

test('a tab that the browser had kept says again what it wants when it is shown', () => {
  const [one, two] = tabs(2);
  two.service.subscribe('order_ready');
  one.service.connect();
  two.service.connect();
  one.welcome();
  one.clock.advance(FLUSH_MS);
  two.window.dispatchEvent(new Event('pagehide'));
  assert.deepEqual(one.socket.sent.at(-1), { type: 'unsubscribe', events: ['order_ready'] });
  one.clock.advance(FLUSH_MS);
  two.window.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: true }));
  assert.deepEqual(one.socket.sent.at(-1), { type: 'subscribe', events: ['order_ready'] });
  one.socket.say(event(42, { event_type: 'order_ready' }));
  assert.deepEqual(two.seqs, [42]);
});

test('a tab that the browser had kept learns what the others came to want meanwhile', async () => {
  const [one, two, three] = tabs(3);
  one.service.connect();
  two.service.connect();
  one.window.dispatchEvent(new Event('pagehide'));
  one.window.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: true }));
  three.service.subscribe('order_created');
  three.service.connect();
  one.service.disconnect();
  await settled();
  two.welcome();
  assert.deepEqual(two.socket.sent.at(-1), { type: 'subscribe', events: ['order_created'] });
});

test('what only a tab that crashed wanted is unsubscribed', async () => {
  const [one, two, three] = tabs(3);
  one.service.subscribe('order_created');
  two.service.subscribe('order_ready');
  three.service.subscribe('payment_failed');
  for (const tab of [one, two, three]) tab.service.connect();
  one.welcome();
  one.clock.advance(FLUSH_MS);
  two.crash();
  await settled();
  assert.deepEqual(one.socket.sent.at(-1), { type: 'unsubscribe', events: ['order_ready'] });
});

test('what only a leader that crashed wanted is not subscribed by the next one', async () => {
  const [one, two] = tabs(2);
  one.service.subscribe('order_created');
  two.service.subscribe('order_ready');
  one.service.connect();
  two.service.connect();
  one.welcome();
  one.crash();
  await settled();
  two.socket.open();
  assert.deepEqual(two.socket.sent[0].resume.events, ['order_ready']);
});

test('when the tab with the connection crashes, the others are told once that it is gone and once that it is back', async () => {
  const [one, two, three] = tabs(3);
  for (const tab of [one, two, three]) tab.service.connect();
  one.welcome();
  const said = [];
  for (const [name, tab] of Object.entries({ two, three })) {
    for (const what of ['connected', 'disconnected']) {
      tab.service.on(what, () => said.push([name, what, tab.service.getStatus().isConnected]));
    }
  }
  one.crash();
  await settled();
  assert.deepEqual(two.told.at(-1), [
    'disconnected',
    { code: 1006, reason: 'the tab with the connection is gone', willReconnect: true },
  ]);
  two.welcome({ recovered: true });
  assert.deepEqual(
    said.filter(([name]) => name === 'two'),
    [
      ['two', 'disconnected', false],
      ['two', 'connected', true],
    ],
  );
  assert.deepEqual(
    said.filter(([name]) => name === 'three'),
    [
      ['three', 'disconnected', false],
      ['three', 'connected', true],
    ],
  );
});

test('when the tab with the connection leaves, the others are told no more often', async () => {
  const [one, two, three] = tabs(3);
  for (const tab of [one, two, three]) tab.service.connect();
  one.welcome();
  one.service.disconnect();
  await settled();
  two.welcome({ recovered: true });
  for (const tab of [two, three]) assert.deepEqual(tab.names, ['connected', 'disconnected', 'connected']);
});

test('a tab that comes later is told that there is a connection, and the others not again', async () => {
  const [one, two, three] = tabs(3);
  one.service.connect();
  two.service.connect();
  one.welcome({ connection_id: 'conn_7' });
  await three.service.connect();
  const [name, detail] = three.told[0];
  assert.deepEqual([name, detail.connection_id], ['connected', 'conn_7']);
  for (const tab of [one, two, three]) assert.deepEqual(tab.names, ['connected']);
});

test('a tab that came when there was no connection is not told that it is gone', async () => {
  const [one, two, three] = tabs(3);
  one.service.connect();
  two.service.connect();
  one.welcome();
  one.socket.end(1006);
  three.service.connect();
  one.crash();
  await settled();
  assert.deepEqual(two.names, ['connected', 'disconnected', 'reconnecting']);
  assert.deepEqual(three.names, []);
});

test('each tab is told that the token ends, and goes on with its own', async () => {
  const [one, two] = tabs(2);
  for (const [number, tab] of [one, two].entries()) {
    tab.service.on('token_expiring', () => tab.service.setToken(`token_of_${number + 1}`));
    tab.service.connect();
  }
  one.welcome({ expires_at: '2026-01-27T10:31:40Z' });
  one.clock.advance(50_000);
  assert.ok(two.names.includes('token_expiring'));
  assert.deepEqual(one.socket.sent.at(-1), { type: 'auth', token: 'token_of_1' });
  one.crash();
  await settled();
  two.socket.open();
  assert.equal(two.socket.sent[0].token, 'token_of_2');
});

test('a tab that left and came back is looked after again', async () => {
  const [one, two] = tabs(2);
  two.service.subscribe('order_ready');
  one.service.connect();
  two.service.connect();
  one.welcome();
  two.service.disconnect();
  await settled();
  one.clock.advance(FLUSH_MS);
  two.service.connect();
  await settled();
  one.clock.advance(FLUSH_MS);
  assert.deepEqual(one.socket.sent.at(-1), { type: 'subscribe', events: ['order_ready'] });
  one.clock.advance(FLUSH_MS);
  two.crash();
  await settled();
  assert.deepEqual(one.socket.sent.at(-1), { type: 'unsubscribe', events: ['order_ready'] });
});

test('tabs that are gone hold no lock and wait for none', async () => {
  const within = browser();
  const three = tabs(3, {}, within);
  for (const { service } of three) service.connect();
  await settled();
  // Each its own; the leader's; two that want it; and two that the leader waits for.
  assert.equal(within.lockCount(), 8);
  for (const { service } of three) service.disconnect();
  await settled();
  assert.equal(within.lockCount(), 0);
});

/** A tab of a browser that grants it no lock for which this is so. */
function denied(within, isDenied) {
  const { platform, window, crash } = within.tab();
  const request = (name, ...rest) =>
    isDenied(name)
      ? Promise.reject(new DOMException('denied', 'SecurityError'))
      : platform.locks.request(name, ...rest);
  const at = makeService({ shareTabs: true, tabPlatform: { ...platform, locks: { request } } });
  return Object.assign(at, { window, crash });
}

/** What a connection is subscribed to, by all that it said. */
function subscribed({ sent }) {
  const types = new Set(sent[0].resume?.events);
  for (const { type, events } of sent.slice(1)) {
    for (const one of events) types[type === 'subscribe' ? 'add' : 'delete'](one);
  }
  return [...types].toSorted();
}

for (const [what, isDenied] of [
  ['no locks', () => true],
  ['not the lock of the connection', (name) => !name.includes(':tab:')],
]) {
  test(`a page that may have ${what} has its own connection, and nothing to do with the other tabs`, async () => {
    const within = browser();
    const [other, late] = tabs(2, {}, within);
    other.service.subscribe('order_ready');
    other.service.connect();
    other.welcome();
    const at = denied(within, isDenied);
    at.service.subscribe('order_created');
    const connected = at.service.connect();
    // Another speaks before it is known that there are no locks, and one afterwards.
    other.service.subscribe('payment_failed');
    await settled();
    at.welcome();
    await connected;
    late.service.subscribe('delivery_completed');
    late.service.connect();
    at.clock.advance(FLUSH_MS);
    assert.deepEqual(subscribed(at.socket), ['order_created']);
    other.clock.advance(FLUSH_MS);
    assert.deepEqual(subscribed(other.socket), ['delivery_completed', 'order_ready', 'payment_failed']);
    at.socket.say(event(42));
    other.socket.say(event(43, { event_type: 'order_ready' }));
    assert.deepEqual([at.seqs, other.seqs], [[42], [43]]);
    at.socket.end(1006);
    at.service.connect();
    await settled();
    assert.equal(at.sockets.length, 1);
    at.service.disconnect();
    at.service.connect();
    await settled();
    assert.equal(at.sockets.length, 2);
    at.service.disconnect();
  });
}

test('a tab whose lock the leader may not wait for is subscribed all the same, and waited for later', async () => {
  const within = browser();
  let isDenied = true;
  const unhandled = [];
  const note = (error) => unhandled.push(error);
  process.on('unhandledRejection', note);
  try {
    const one = denied(within, (name) => isDenied && name.includes(':tab:') && one.sockets.length > 0);
    const [two] = tabs(1, {}, within);
    one.service.connect();
    one.welcome();
    two.service.subscribe('order_ready');
    two.service.connect();
    await settled();
    assert.deepEqual(one.socket.sent.at(-1), { type: 'subscribe', events: ['order_ready'] });
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(unhandled, []);
    isDenied = false;
    two.service.subscribe('order_created');
    one.clock.advance(FLUSH_MS);
    two.crash();
    await settled();
    one.clock.advance(FLUSH_MS);
    assert.deepEqual(subscribed(one.socket), []);
  } finally {
    process.off('unhandledRejection', note);
  }
});

test('a type that a tab asked for and the catalogue does not have harms no other tab', () => {
  const [one, two] = tabs(2);
  one.service.subscribe('order_created');
  one.service.connect();
  two.service.connect();
  one.welcome();
  one.clock.advance(FLUSH_MS);
  two.service.subscribe('order_exploded');
  one.socket.say({ type: 'error', code: 'unknown_event_type', events: ['order_exploded'] });
  one.clock.advance(FLUSH_MS);
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
