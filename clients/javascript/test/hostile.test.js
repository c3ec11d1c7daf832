/** What an application, a browser or a server may do to a client that it should not: nothing of it silences the client. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { READING_MS } from '../src/fallback.js';
import { FLUSH_MS } from '../src/session.js';
import { browser } from './support/browser.js';
import { authenticated, event, fakeSockets, settled } from './support/fakes.js';
import { makeService } from './support/service.js';

/** A client that is connected and wants everything. */
function connected(options) {
  const at = makeService(options);
  at.service.subscribe('*');
  at.service.connect();
  at.welcome();
  return at;
}

// Tokens.

test('disconnect leaves no timer behind while a token is awaited', async () => {
  const at = makeService({ token: () => new Promise(() => {}) });
  const attempt = at.service.connect();
  at.service.disconnect();
  await assert.rejects(attempt, { code: 1000 });
  await settled();
  assert.equal(at.clock.pending, 0);
});

test('a token that comes after it was given up for is not used', async () => {
  const given = [];
  const at = makeService({ token: () => new Promise((resolve) => given.push(resolve)) });
  at.service.connect();
  at.clock.advance(30_000);
  await settled();
  assert.deepEqual(at.names, ['error', 'reconnecting']);
  given[0]('late');
  await settled();
  assert.equal(at.sockets.length, 0);
  at.clock.advance(1_000);
  given[1]('in time');
  await settled();
  at.socket.open();
  assert.equal(at.socket.sent[0].token, 'in time');
  at.service.disconnect();
});

test('a token that comes in the turn in which its client is disconnected opens nothing', async () => {
  const given = [];
  const at = makeService({ token: () => new Promise((resolve) => given.push(resolve)) });
  at.service.connect();
  given[0]('old');
  at.service.disconnect();
  at.service.connect();
  await settled();
  assert.equal(at.sockets.length, 0);
  at.service.disconnect();
});

test('a provider may throw anything, or end the client that asks it', async () => {
  for (const thrown of [undefined, null, 'text', { toString: () => 'odd' }]) {
    const at = makeService({
      token: () => {
        throw thrown;
      },
    });
    at.service.connect();
    await settled();
    assert.deepEqual(at.names, ['error', 'reconnecting']);
    at.service.disconnect();
  }
  const at = makeService({
    token: () => {
      at.service.disconnect();
      return 'token';
    },
  });
  await assert.rejects(at.service.connect(), { code: 1000 });
  await settled();
  assert.equal(at.sockets.length, 0);
});

test('what is no token is refused where it is given', () => {
  const at = makeService();
  for (const token of [null, undefined, '', 7]) assert.throws(() => at.service.setToken(token), TypeError);
});

// Connecting and disconnecting.

test('a socket that opens after its client has changed its mind is not used', async () => {
  const at = makeService();
  const first = at.service.connect();
  at.service.disconnect();
  const second = at.service.connect();
  await assert.rejects(first, { code: 1000 });
  at.sockets[0].open();
  assert.deepEqual(at.sockets[0].sent, []);
  at.welcome();
  await second;
  at.sockets[0].end(1006);
  assert.equal(at.service.getStatus().isConnected, true);
});

test('handlers may connect and disconnect at will', () => {
  const at = makeService();
  at.service.on('disconnected', () => at.service.connect());
  at.service.on('connected', () => at.service.disconnect());
  at.service.connect();
  for (let turn = 1; turn <= 5; turn += 1) {
    assert.equal(at.sockets.length, turn);
    at.welcome();
    assert.equal(at.sockets[turn - 1].closedWith, 1000);
  }
});

test('a close while the client is being authenticated is a failed attempt', () => {
  const at = makeService();
  at.service.connect();
  at.socket.open();
  at.socket.dispatchEvent(new Event('error'));
  at.socket.end(1006);
  assert.deepEqual(at.names, ['reconnecting']);
});

test('what is subscribed and unsubscribed while a resume is under way is told after it', () => {
  const at = connected();
  at.socket.end(1006);
  at.clock.advance(1_000);
  at.socket.open();
  at.service.subscribe('order_created');
  at.service.unsubscribe('*');
  at.socket.say(authenticated({ recovered: true }));
  assert.deepEqual(at.socket.sent.slice(1), [
    { type: 'unsubscribe', events: ['*'] },
    { type: 'subscribe', events: ['order_created'] },
  ]);
});

test('a socket that throws when it is written to is a lost connection', () => {
  const { Socket, opened } = fakeSockets();
  class Throwing extends Socket {
    send(text) {
      if (opened.length === 1 && this.sent.length > 0) throw new Error('closing');
      super.send(text);
    }
  }
  const at = makeService({ WebSocket: Throwing, deviceId: 'phone' });
  at.service.connect();
  opened[0].open();
  opened[0].say(authenticated());
  at.service.subscribe('*');
  assert.deepEqual(at.names, ['connected', 'disconnected', 'reconnecting']);
  at.clock.advance(0);
  opened[1].open();
  opened[1].say(authenticated({ recovered: true }));
  assert.equal(at.service.getStatus().isConnected, true);
});

test('a socket that throws when a client says its last word keeps it from nothing', () => {
  const { Socket, opened } = fakeSockets();
  class Throwing extends Socket {
    send(text) {
      if (text.includes('"ack"')) throw new Error('closing');
      super.send(text);
    }
  }
  const at = makeService({ WebSocket: Throwing, deviceId: 'phone' });
  at.service.connect();
  opened[0].open();
  opened[0].say(authenticated());
  at.service.disconnect();
  assert.equal(opened[0].closedWith, 1000);
  assert.equal(at.clock.pending, 0);
});

// What an application gives.

test('what can be no type is refused where it is asked for, and changes nothing', () => {
  const at = connected();
  const said = at.socket.sent.length;
  for (const types of [[7], [null], ['a', undefined], '', 'x'.repeat(65), 'a\0', '\ud800', [['a']]]) {
    assert.throws(() => at.service.subscribe(types), TypeError);
    assert.throws(() => at.service.unsubscribe(types), TypeError);
  }
  for (const types of [undefined, null, 7]) assert.throws(() => at.service.subscribe(types), TypeError);
  at.clock.advance(FLUSH_MS);
  assert.equal(at.socket.sent.length, said);
  assert.deepEqual(at.service.getStatus().subscriptions, ['*']);
});

test('what can be no name of a device is refused at once', () => {
  for (const deviceId of ['a phone', 'x'.repeat(65), 'phone\n']) {
    assert.throws(() => makeService({ deviceId }), /device/);
  }
});

test('a handler that gives anything with a then is waited for, and its failure is told', async (context) => {
  const said = context.mock.method(console, 'error', () => {});
  const at = makeService();
  at.service.subscribe('*');
  at.service.on('*', () => ({ then: (_, reject) => reject(new Error('mine')) }));
  at.service.on('*', async () => {
    throw new Error('mine too');
  });
  at.service.connect();
  at.welcome();
  at.socket.say(event(42));
  await settled();
  assert.equal(said.mock.callCount(), 2);
  assert.deepEqual(at.seqs, [42]);
});

// What a server, or whoever is in between, sends.

test('frames that are no message harm nothing', () => {
  const at = connected();
  const odd = ['', '{', '[]', '7', 'null', '"text"', '{"type":{}}', '\u0000', '[['.repeat(200_000), '{"__proto__":{}}'];
  for (const text of odd) at.socket.sayText(text);
  for (const data of [new ArrayBuffer(8), new Blob(['{}']), undefined, Symbol('odd')]) at.socket.sayText(data);
  at.socket.say(event(42));
  assert.deepEqual(at.seqs, [42]);
});

test('an event may be huge, and may have names that objects have by themselves', () => {
  const at = connected();
  const told = [];
  for (const name of ['constructor', '__proto__', 'toString']) at.service.on(name, ({ type }) => told.push(type));
  at.socket.say(event(42, { data: { text: 'x'.repeat(5_000_000) } }));
  for (const name of ['constructor', '__proto__', 'toString']) {
    at.socket.say(event(null, { event_id: name, event_type: name }));
  }
  assert.deepEqual(told, ['constructor', '__proto__', 'toString']);
  assert.equal(at.told.find(([name]) => name === '*')[1].data.text.length, 5_000_000);
});

test('an event before the client is authenticated is not told', () => {
  const at = makeService();
  at.service.subscribe('*');
  at.service.connect();
  at.socket.open();
  at.socket.say(event(42));
  assert.deepEqual(at.seqs, []);
});

test('a position of another life of the log is given up for what the server says', () => {
  const at = connected();
  at.socket.say(event(57));
  at.socket.end(1006);
  at.clock.advance(1_000);
  at.welcome({ epoch: 'epoch_2', seq: 3, recovered: false });
  at.socket.say(event(4));
  at.socket.end(1006);
  at.clock.advance(60_000);
  at.socket.open();
  assert.deepEqual(at.socket.sent[0].resume, { epoch: 'epoch_2', seq: 4, events: ['*'] });
});

test('a connection that cannot be had is given up with its error, whether or not a close follows', () => {
  const at = makeService();
  at.service.connect();
  const first = at.socket;
  first.dispatchEvent(new Event('error'));
  assert.equal(at.names.at(-1), 'reconnecting');
  first.end(1006);
  assert.equal(at.names.filter((name) => name === 'reconnecting').length, 1);
  at.clock.advance(1_000);
  assert.notEqual(at.socket, first);
});

test('of a connection that stands the close says why it ended, and not the error before it', () => {
  const at = connected();
  at.socket.dispatchEvent(new Event('error'));
  assert.ok(at.service.getStatus().isConnected);
  at.socket.end(4403);
  assert.equal(at.told.find(([name]) => name === 'disconnected')[1].code, 4403);
});

// The history.

/** A client that reads the history, and the readings that it waits for. */
function reading() {
  const asked = [];
  const fetch = (url, { signal }) =>
    new Promise((resolve, reject) => {
      asked.push((rows) => resolve({ ok: true, json: async () => ({ data: rows }) }));
      signal.addEventListener('abort', () => reject(signal.reason));
    });
  const at = makeService({ polling: { url: 'https://rest', fetch, afterFailures: 1 } });
  at.service.subscribe('*');
  at.service.connect();
  at.socket.end(1006);
  return { ...at, at, asked };
}

test('a history that never answers is asked again', async () => {
  const { at, asked } = reading();
  assert.equal(asked.length, 1);
  at.clock.advance(READING_MS);
  await settled();
  at.clock.advance(60_000);
  await settled();
  assert.equal(asked.length, 2);
  at.service.disconnect();
});

test('what a history answers after disconnect, or once there is a connection, is not told', async () => {
  const connect = (at) => {
    at.welcome({ seq: 2 });
    at.welcome({ seq: 1, recovered: true });
  };
  for (const end of [(at) => at.service.disconnect(), connect]) {
    const { at, asked } = reading();
    asked[0]([event(1)]);
    await new Promise((resolve) => setImmediate(resolve));
    at.clock.advance(10_000);
    assert.equal(asked.length, 2);
    end(at);
    asked[1]([event(2), event(1)]);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(at.seqs, []);
    at.service.disconnect();
    assert.equal(at.clock.pending, 0);
  }
});

// Tabs.

test('what others of this origin say on the channel harms nothing', () => {
  const within = browser();
  const { platform } = within.tab();
  const at = makeService({ shareTabs: true, tabPlatform: platform });
  at.service.subscribe('*');
  at.service.connect();
  at.welcome();
  const other = new (within.tab().platform.BroadcastChannel)('harkara:ws://server/api/websocket/ws:user_123');
  for (const odd of [null, undefined, 7, 'text', {}, { kind: 7 }, { kind: 'types' }, { kind: 'types', from: 'x' }]) {
    other.postMessage(odd);
  }
  // One that holds the lock of a tab, as tabs do.
  const name = 'harkara:ws://server/api/websocket/ws:user_123:tab:x';
  within.tab().platform.locks.request(name, new AbortController(), () => new Promise(() => {}));
  other.postMessage({ kind: 'types', from: 'x', types: [7, null, 'order_created'] });
  at.clock.advance(FLUSH_MS);
  assert.deepEqual(at.socket.sent.at(-1), { type: 'subscribe', events: ['order_created'] });
  at.socket.say(event(42));
  assert.deepEqual(at.seqs, [42]);
});

test('a channel that throws silences a client for one message at most', async (context) => {
  const { platform } = browser().tab();
  const at = makeService({ shareTabs: true, tabPlatform: platform });
  at.service.subscribe('*');
  at.service.connect();
  at.welcome();
  const { postMessage } = platform.BroadcastChannel.prototype;
  platform.BroadcastChannel.prototype.postMessage = () => {
    throw new Error('cannot be cloned');
  };
  // What a listener throws is the page's to see. An event's target tells it so.
  const thrown = context.mock.method(process, 'nextTick', () => {});
  at.socket.say(event(42));
  thrown.mock.restore();
  assert.equal(thrown.mock.callCount(), 1);
  platform.BroadcastChannel.prototype.postMessage = postMessage;
  at.socket.say(event(43));
  assert.ok(at.seqs.includes(43));
});
