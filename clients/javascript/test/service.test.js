import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ConnectionError, WebSocketService } from '../src/index.js';
import { authenticated, event, fakeSockets, MemoryStorage, settled } from './support/fakes.js';
import { makeService } from './support/service.js';

test('connect is fulfilled once authenticated', async () => {
  const at = makeService();
  const connected = at.service.connect();
  assert.equal(at.sockets.length, 1);
  at.socket.open();
  assert.deepEqual(at.socket.sent, [{ type: 'auth', token: 'token_1', user_id: 'user_123' }]);
  assert.equal(at.service.getStatus().isConnected, false);
  at.socket.say(authenticated());
  await connected;
  assert.deepEqual(at.service.getStatus(), {
    isConnected: true,
    subscriptions: [],
    queuedMessages: 0,
    reconnectAttempts: 0,
  });
  await at.service.connect();
  assert.equal(at.sockets.length, 1);
});

test('what is subscribed before there is a connection waits as one message', () => {
  const at = makeService();
  at.service.subscribe(['order_created']);
  at.service.subscribe('delivery_arrived');
  at.service.unsubscribe(['order_created']);
  at.service.subscribe(['order_ready']);
  assert.equal(at.service.getStatus().queuedMessages, 1);
  at.service.connect();
  at.welcome();
  assert.deepEqual(at.socket.sent.slice(1), [
    { type: 'subscribe', events: ['delivery_arrived', 'order_ready'] },
  ]);
  assert.equal(at.service.getStatus().queuedMessages, 0);
  assert.deepEqual(at.service.getStatus().subscriptions, ['delivery_arrived', 'order_ready']);
});

test('an event comes to its own handlers and to those of all, with both pairs of names', () => {
  const at = makeService();
  at.service.subscribe(['order_created']);
  const mine = [];
  const handler = (told) => mine.push(told);
  at.service.on('order_created', handler);
  at.service.connect();
  at.welcome();
  at.socket.say(event(42));
  assert.deepEqual(mine, [{ ...event(42), type: 'order_created', level: 'high' }]);
  assert.deepEqual(at.seqs, [42]);
  at.service.off('order_created', handler);
  at.socket.say(event(43));
  assert.equal(mine.length, 1);
  assert.deepEqual(at.seqs, [42, 43]);
});

test('a handler that throws harms neither the others nor the connection', (context) => {
  const said = context.mock.method(console, 'error', () => {});
  const at = makeService();
  at.service.subscribe('*');
  at.service.on('order_created', () => {
    throw new Error('mine');
  });
  at.service.connect();
  at.welcome();
  at.socket.say(event(42));
  at.socket.say(event(43));
  assert.deepEqual(at.seqs, [42, 43]);
  assert.equal(said.mock.callCount(), 2);
});

test('a handler may disconnect in the middle of a loss, and nothing is tried any more', () => {
  const at = makeService();
  at.service.on('disconnected', () => at.service.disconnect());
  at.service.connect();
  at.welcome();
  at.socket.end(1011);
  assert.equal(at.clock.pending, 0);
  at.clock.advance(600_000);
  assert.equal(at.sockets.length, 1);
});

test('a loss is followed by another attempt that resumes after the last event', () => {
  const at = makeService();
  at.service.subscribe(['order_created']);
  at.service.connect();
  at.welcome();
  at.socket.say(event(57));
  at.clock.advance(20_000);
  at.socket.end(1006);
  assert.equal(at.service.getStatus().isConnected, false);
  assert.equal(at.service.getStatus().reconnectAttempts, 1);
  at.clock.advance(0);
  assert.equal(at.sockets.length, 2);
  at.socket.open();
  assert.deepEqual(at.socket.sent, [
    {
      type: 'auth',
      token: 'token_1',
      user_id: 'user_123',
      resume: { epoch: 'epoch_1', seq: 57, events: ['order_created'] },
    },
  ]);
  at.socket.say(authenticated({ seq: 57, recovered: true }));
  assert.equal(at.socket.sent.length, 1);
  assert.equal(at.service.getStatus().reconnectAttempts, 0);
  assert.ok(!at.names.includes('gap'));
});

test('an event that comes again after a reconnect is told once', () => {
  const at = makeService();
  at.service.subscribe('*');
  at.service.connect();
  at.welcome();
  at.socket.say(event(42));
  at.socket.end(1006);
  at.clock.advance(60_000);
  at.welcome({ seq: 41, recovered: true });
  at.socket.say(event(42));
  at.socket.say(event(43));
  assert.deepEqual(at.seqs, [42, 43]);
});

test('a gap is told where the server cannot go on', () => {
  const at = makeService();
  at.service.subscribe('*');
  at.service.connect();
  at.welcome();
  at.socket.end(1006);
  at.clock.advance(60_000);
  at.welcome({ epoch: 'epoch_2', seq: 7, recovered: false });
  assert.deepEqual(at.told.find(([name]) => name === 'gap')[1], {
    before: { epoch: 'epoch_1', seq: 41 },
    after: { epoch: 'epoch_2', seq: 7 },
  });
});

test('a position in storage is gone on from when the page is loaded again', () => {
  const storage = new MemoryStorage();
  const first = makeService({ storage });
  first.service.subscribe('*');
  first.service.connect();
  first.welcome();
  first.socket.say(event(44));
  const second = makeService({ storage });
  second.service.subscribe('*');
  second.service.connect();
  second.socket.open();
  assert.deepEqual(second.socket.sent[0].resume, { epoch: 'epoch_1', seq: 44, events: ['*'] });
});

test('a position is kept only after the event was dealt with', () => {
  const storage = new MemoryStorage();
  const at = makeService({ storage });
  at.service.subscribe('*');
  const kept = [];
  at.service.on('*', () => kept.push(JSON.parse(storage.getItem('harkara:position:user_123')).seq));
  at.service.connect();
  at.welcome();
  at.socket.say(event(42));
  assert.deepEqual(kept, [41]);
  assert.equal(JSON.parse(storage.getItem('harkara:position:user_123')).seq, 42);
});

test('storage that fails is done without', () => {
  const storage = {
    getItem() {
      throw new Error('denied');
    },
    setItem() {
      throw new Error('full');
    },
  };
  const at = makeService({ storage });
  at.service.connect();
  at.welcome();
  assert.ok(at.service.getStatus().isConnected);
});

test('connect is rejected when the server will not have this client', async () => {
  const at = makeService();
  const connected = at.service.connect();
  at.socket.open();
  at.socket.say({ type: 'error', code: 'forbidden', message: 'no' });
  at.socket.end(4403);
  await assert.rejects(connected, (error) => {
    assert.ok(error instanceof ConnectionError);
    assert.deepEqual([error.code, error.reason, error.final], [4403, 'forbidden', true]);
    return true;
  });
  at.clock.advance(600_000);
  assert.equal(at.sockets.length, 1);
  assert.deepEqual(at.names, ['error', 'connection_failed']);
});

test('connection_failed is told after so many failures, and trying goes on', async () => {
  const at = makeService({ failuresUntilTold: 3 });
  const connected = at.service.connect();
  for (let failure = 1; failure <= 3; failure += 1) {
    at.socket.end(1006);
    at.clock.advance(5_000);
  }
  await assert.rejects(connected, { code: 1006, final: false, attempts: 3 });
  assert.equal(at.names.filter((name) => name === 'connection_failed').length, 1);
  assert.equal(at.sockets.length, 4);
  at.welcome();
  assert.ok(at.service.getStatus().isConnected);
});

test('disconnect closes with 1000, and connect goes on where it was', async () => {
  const at = makeService();
  at.service.subscribe('*');
  at.service.connect();
  at.welcome();
  at.socket.say(event(42));
  at.service.disconnect();
  assert.equal(at.socket.closedWith, 1000);
  assert.equal(at.clock.pending, 0);
  at.service.connect();
  at.socket.open();
  assert.equal(at.socket.sent[0].resume.seq, 42);
});

test('a token provider is asked first, when a token ends, and when one was refused', async () => {
  const asked = [];
  const at = makeService({
    token: async ({ reason }) => {
      asked.push(reason);
      return `token_${asked.length}`;
    },
  });
  at.service.connect();
  await settled();
  at.welcome({ expires_at: '2026-01-27T10:35:00Z' });
  for (let beat = 0; beat < 7; beat += 1) {
    at.clock.advance(30_000);
    at.socket.say({ type: 'heartbeat_ack', seq: 41 });
  }
  at.clock.advance(29_000);
  assert.deepEqual(asked, ['first']);
  at.clock.advance(1_000);
  await settled();
  assert.deepEqual(asked, ['first', 'expiring']);
  assert.deepEqual(at.socket.sent.at(-1), { type: 'auth', token: 'token_2' });
  at.socket.say(authenticated({ expires_at: '2026-01-27T11:35:00Z' }));
  at.socket.end(4401);
  at.clock.advance(0);
  await settled();
  assert.deepEqual(asked, ['first', 'expiring', 'refused']);
  at.socket.open();
  assert.equal(at.socket.sent[0].token, 'token_3');
});

test('a provider that fails is asked again later', async () => {
  let calls = 0;
  const at = makeService({
    token: () => {
      calls += 1;
      if (calls === 1) throw new Error('no network');
      return 'token';
    },
  });
  at.service.connect();
  await settled();
  assert.equal(at.sockets.length, 0);
  at.clock.advance(1_000);
  await settled();
  assert.equal(at.sockets.length, 1);
});

test('a token that is one for good is not offered again once refused', async () => {
  const at = makeService();
  const connected = at.service.connect();
  at.socket.open();
  at.socket.end(4401);
  await assert.rejects(connected, { code: 4401, final: true });
  at.service.setToken('token_2');
  at.service.connect();
  at.welcome();
  assert.equal(at.socket.sent[0].token, 'token_2');
});

test('who gave one token is told before it ends, and may give another', () => {
  const at = makeService();
  at.service.on('token_expiring', () => at.service.setToken('token_2'));
  at.service.connect();
  at.welcome({ expires_at: '2026-01-27T10:31:40Z' });
  at.clock.advance(50_000);
  assert.deepEqual(at.socket.sent.at(-1), { type: 'auth', token: 'token_2' });
});

test('an address that may not be opened is a failed attempt', async () => {
  class Forbidding {
    constructor() {
      throw new DOMException('mixed content', 'SecurityError');
    }
  }
  const at = makeService({ WebSocket: Forbidding, failuresUntilTold: 1 });
  await assert.rejects(at.service.connect(), { code: 1006, reason: 'mixed content' });
  at.service.disconnect();
});

test('a client without a WebSocket, an address or a user to store for says so at once', () => {
  const { Socket } = fakeSockets();
  assert.throws(() => new WebSocketService(null, 't', 'u', { WebSocket: Socket }), /no URL/);
  assert.throws(() => new WebSocketService('ftp://x', 't', 'u', { WebSocket: Socket }), /not the address/);
  assert.throws(
    () => new WebSocketService('ws://x', 't', null, { WebSocket: Socket, storage: new MemoryStorage() }),
    /user id/,
  );
});

test('a socket that is not ours any more is not listened to', () => {
  const at = makeService();
  at.service.subscribe('*');
  at.service.connect();
  at.welcome();
  const old = at.socket;
  at.clock.advance(75_000);
  assert.equal(old.closedWith, 1000);
  at.welcome({ recovered: true });
  old.say(event(42));
  old.end(1006);
  assert.deepEqual(at.seqs, []);
  assert.ok(at.service.getStatus().isConnected);
});

test('a token that comes after disconnect opens nothing', async () => {
  const given = [];
  const at = makeService({ token: () => new Promise((resolve) => given.push(resolve)) });
  at.service.connect();
  at.service.disconnect();
  at.service.connect();
  given[0]('old');
  await settled();
  assert.equal(at.sockets.length, 0);
  given[1]('new');
  await settled();
  at.socket.open();
  assert.equal(at.socket.sent[0].token, 'new');
});

test('frames that are no JSON harm nothing', () => {
  const at = makeService();
  at.service.subscribe('*');
  at.service.connect();
  at.welcome();
  at.socket.sayText('{');
  at.socket.say(event(42));
  assert.deepEqual(at.seqs, [42]);
});

test('an event whose type is the name of something else is told to * only', () => {
  const at = makeService();
  at.service.subscribe('*');
  at.service.connect();
  at.welcome();
  at.socket.say(event(42, { event_type: 'disconnected' }));
  assert.deepEqual(at.names, ['connected', '*']);
});

test('what a handler brings about is told after all handlers were told of its cause', () => {
  const at = makeService();
  const { service } = at;
  const order = [];
  service.off('connected');
  service.on('connected', () => service.disconnect());
  service.on('connected', () => order.push('connected'));
  service.on('disconnected', () => order.push('disconnected'));
  service.connect();
  at.welcome();
  assert.deepEqual(order, ['connected', 'disconnected']);
});
