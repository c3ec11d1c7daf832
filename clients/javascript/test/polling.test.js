import assert from 'node:assert/strict';
import { test } from 'node:test';

import { HistoryError, MAX_PAGES, PAGE_SIZE, readHistory } from '../src/polling.js';
import { authenticated, event } from './support/fakes.js';
import { makeService } from './support/service.js';

/** A REST interface over a list of events, as the query-service answers. */
function history() {
  const events = [];
  const asked = [];
  const refused = new Set();
  return {
    events,
    asked,
    refused,
    add(...seqs) {
      for (const seq of seqs) events.push(event(seq));
    },
    fetch: async (url, { headers }) => {
      asked.push(url);
      if (refused.has(headers.authorization)) return { ok: false, status: 401 };
      const query = new URL(url).searchParams;
      const below = Number(query.get('before_seq') ?? Infinity);
      const data = events
        .filter(({ seq }) => seq < below)
        .reverse()
        .slice(0, Number(query.get('limit')))
        .map((row) => ({ ...row, _id: row.event_id, created_at: '2026-01-27T10:30:00Z' }));
      return { ok: true, status: 200, json: async () => ({ status: 'success', data }) };
    },
  };
}

const reading = (rest, after) =>
  readHistory({
    url: 'https://rest/',
    userId: 'user 1',
    token: 't',
    after,
    fetch: rest.fetch,
    signal: new AbortController().signal,
  });

/** Let a reading that is under way end. */
const read = () => new Promise((resolve) => setImmediate(resolve));

test('a history is read backwards to where one stands, and handed on in order', async () => {
  const rest = history();
  rest.add(...Array.from({ length: 250 }, (_, index) => index + 1));
  const polled = await reading(rest, 20);
  assert.deepEqual(
    polled.events.map(({ seq }) => seq),
    Array.from({ length: 230 }, (_, index) => index + 21),
  );
  assert.deepEqual([polled.seq, polled.complete], [250, true]);
  assert.deepEqual(polled.events[0], event(21));
  assert.deepEqual(rest.asked, [
    'https://rest/api/websocket/events/user/user%201?limit=100',
    'https://rest/api/websocket/events/user/user%201?limit=100&before_seq=151',
    'https://rest/api/websocket/events/user/user%201?limit=100&before_seq=51',
  ]);
});

test('who stands nowhere learns where the history ends, and is told nothing of the past', async () => {
  const rest = history();
  assert.deepEqual(await reading(rest, null), { events: [], seq: 0, complete: true });
  rest.add(1, 2, 3);
  assert.deepEqual(await reading(rest, null), { events: [], seq: 3, complete: true });
  assert.deepEqual(await reading(rest, 3), { events: [], seq: 3, complete: true });
});

test('a history that is too long to read is told to have a gap', async () => {
  const rest = history();
  rest.add(...Array.from({ length: MAX_PAGES * PAGE_SIZE + 1 }, (_, index) => index + 1));
  const polled = await reading(rest, 0);
  assert.equal(polled.complete, false);
  assert.deepEqual([polled.events[0].seq, polled.seq], [2, MAX_PAGES * PAGE_SIZE + 1]);
});

test('an answer that is no success is an error with its status', async () => {
  const rest = history();
  rest.refused.add('Bearer t');
  await assert.rejects(reading(rest, 0), (error) => error instanceof HistoryError && error.status === 401);
});

test('after some failures events come from the history, until there is a connection again', async () => {
  const rest = history();
  rest.add(41);
  const at = makeService({ polling: { url: 'https://rest', fetch: rest.fetch, afterFailures: 2 } });
  at.service.subscribe('order_created');
  at.service.connect();
  at.welcome();
  at.socket.end(1006);
  rest.add(42);
  at.clock.advance(1_000);
  await read();
  assert.deepEqual(rest.asked, []);
  at.socket.end(1006);
  await read();
  assert.deepEqual(at.seqs, [42]);
  rest.add(43);
  at.clock.advance(5_000);
  await read();
  assert.deepEqual(at.seqs, [42, 43]);

  at.socket.open();
  assert.deepEqual(at.socket.sent[0].resume, { epoch: 'epoch_1', seq: 43, events: ['order_created'] });
  at.socket.say(authenticated({ seq: 43, recovered: true }));
  at.socket.say(event(43));
  at.socket.say(event(44));
  assert.deepEqual(at.seqs, [42, 43, 44]);
  const asked = rest.asked.length;
  at.clock.advance(60_000);
  await read();
  assert.equal(rest.asked.length, asked);
  assert.deepEqual(
    at.told.filter(([name]) => name === 'polling').map(([, { active }]) => active),
    [true, false],
  );
});

test('a client that never had a connection starts at the end, and misses nothing when it gets one', async () => {
  const rest = history();
  rest.add(1, 2);
  const at = makeService({ polling: { url: 'https://rest', fetch: rest.fetch, afterFailures: 1 } });
  at.service.subscribe('order_created');
  at.service.connect();
  at.socket.end(1006);
  await read();
  rest.add(3);
  at.clock.advance(5_000);
  await read();
  assert.deepEqual(at.seqs, [3]);
  rest.add(4);
  at.socket.open();
  assert.equal(at.socket.sent[0].resume, undefined);
  at.socket.say(authenticated({ seq: 4 }));
  // That one stands at the end: another goes on from where the history was read to, so all comes in order.
  const first = at.sockets.at(-2);
  assert.deepEqual([first.closedWith, at.names.includes('connected')], [1000, false]);
  first.say(event(5));
  at.socket.open();
  assert.deepEqual(at.socket.sent[0].resume, { epoch: 'epoch_1', seq: 3, events: ['order_created'] });
  at.socket.say(authenticated({ seq: 3, recovered: true }));
  at.socket.say(event(4));
  at.socket.say(event(5));
  await read();
  assert.deepEqual(at.seqs, [3, 4, 5]);
  assert.deepEqual(
    at.names.filter((name) => name === 'connected' || name === 'gap'),
    ['connected'],
  );
});

test('a device that never had a connection goes on from where the history was read to, not from where the server thinks', async () => {
  const rest = history();
  rest.add(1, 2);
  const at = makeService({ deviceId: 'phone', polling: { url: 'https://rest', fetch: rest.fetch, afterFailures: 1 } });
  at.service.subscribe('order_created');
  at.service.connect();
  at.socket.end(1006);
  await read();
  at.clock.advance(1_000);
  at.socket.open();
  assert.equal(at.socket.sent[0].resume, undefined);
  at.socket.say(authenticated({ seq: 3 }));
  at.socket.open();
  assert.deepEqual(at.socket.sent[0].resume, { epoch: 'epoch_1', seq: 2, events: ['order_created'] });
});

test('a log that lost what the history had is told to have a gap, once, and is gone on with', async () => {
  const rest = history();
  rest.add(1, 2, 3);
  const at = makeService({ polling: { url: 'https://rest', fetch: rest.fetch, afterFailures: 1 } });
  at.service.connect();
  at.socket.end(1006);
  await read();
  at.clock.advance(1_000);
  at.socket.open();
  at.socket.say(authenticated({ seq: 1 }));
  at.socket.open();
  at.socket.say(authenticated({ seq: 1, recovered: false }));
  assert.equal(at.names.filter((name) => name === 'gap').length, 1);
  assert.equal(at.service.getStatus().isConnected, true);
});

test('a client that the server will not have does not read the history either', async () => {
  const rest = history();
  const at = makeService({ polling: { url: 'https://rest', fetch: rest.fetch, afterFailures: 1 } });
  at.service.connect();
  at.socket.open();
  at.socket.end(4403);
  await read();
  assert.deepEqual(rest.asked, []);
});

test('disconnect ends the reading', async () => {
  const rest = history();
  const at = makeService({ polling: { url: 'https://rest', fetch: rest.fetch, afterFailures: 1 } });
  at.service.connect();
  at.socket.end(1006);
  at.service.disconnect();
  await read();
  assert.equal(at.clock.pending, 0);
});

test('a token that the history refuses is replaced at the next attempt', async () => {
  const rest = history();
  const asked = [];
  const at = makeService({
    polling: { url: 'https://rest', fetch: rest.fetch, afterFailures: 1 },
    token: ({ reason }) => {
      asked.push(reason);
      return `token_${asked.length}`;
    },
  });
  rest.refused.add('Bearer token_1');
  at.service.connect();
  await read();
  at.socket.end(1006);
  await read();
  at.clock.advance(1_000);
  await read();
  assert.deepEqual(asked, ['first', 'refused']);
  at.socket.open();
  assert.equal(at.socket.sent[0].token, 'token_2');
  at.service.disconnect();
});
