// The console's pure modules, under Node's own runner: test_console_modules.py copies this file beside them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deviceIn } from './device.js';
import * as format from './format.js';
import { Samples } from './samples.js';
import { ApiError, claimsOf, errorOf, ExactNumber, parseExactly, Session, splitFragment } from './session.js';

const jwt = (claims) => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.c2ln`;

class Kept {
  items = new Map();
  setItem(name, value) {
    this.items.set(name, value);
  }
  getItem(name) {
    return this.items.get(name) ?? null;
  }
  removeItem(name) {
    this.items.delete(name);
  }
}

const answering = (...answers) => {
  const asked = [];
  const fetcher = async (url, options) => {
    asked.push({ url, headers: options.headers, credentials: options.credentials });
    const answer = answers.shift();
    if (answer instanceof Error) throw answer;
    return new Response(answer.body ?? '{}', { status: answer.status ?? 200, headers: answer.headers });
  };
  return { asked, fetcher };
};

test('a token in the fragment is taken out, and the rest of it stays', () => {
  assert.deepEqual(splitFragment('#token=a.b.c'), { token: 'a.b.c', rest: '' });
  assert.deepEqual(splitFragment('#/history?user=asha&token=a.b.c'), { token: 'a.b.c', rest: '/history?user=asha' });
  assert.deepEqual(splitFragment('#token=a%2Eb.c&/live'), { token: 'a.b.c', rest: '/live' });
  assert.deepEqual(splitFragment('#token='), { token: null, rest: '' });
  assert.deepEqual(splitFragment('#/live'), { token: null, rest: '/live' });
  assert.deepEqual(splitFragment('#token=%E0%A4%A'), { token: '%E0%A4%A', rest: '' });
});

test('what a token says of itself is read, and what is no token says nothing', () => {
  assert.deepEqual(claimsOf(jwt({ user_id: 'आशा', n: 1 })), { user_id: 'आशा', n: 1 });
  for (const text of ['', 'a', 'a.b', 'a.!.c', jwt([1]), jwt(null), jwt('x')]) assert.equal(claimsOf(text), null);
});

test('a question carries the token in its header, and no cookie', async () => {
  const { asked, fetcher } = answering({ body: '{"data": 1}' });
  const session = new Session('a.b.c', new Kept(), fetcher);
  assert.deepEqual(await session.get('/x', { type: 'order created', none: null, empty: '', zero: 0 }), { data: 1 });
  assert.deepEqual(asked, [
    { url: '/x?type=order+created&zero=0', headers: { Authorization: 'Bearer a.b.c' }, credentials: 'omit' },
  ]);
});

test('each failure says what to do about it', async () => {
  const body = JSON.stringify({ status: 'error', error: { code: 'c', message: 'Said.' } });
  for (const [status, kind] of [
    [401, 'unauthenticated'], [403, 'forbidden'], [404, 'not_found'], [422, 'invalid'],
    [503, 'unavailable'], [502, 'unavailable'], [429, 'unavailable'], [500, 'broken'],
  ]) {
    const error = errorOf(status, body, null);
    assert.deepEqual([error.kind, error.status, error.code, error.message], [kind, status, 'c', 'Said.']);
  }
  assert.equal(errorOf(502, '<html>', null).message, 'The server answered 502.');
  assert.equal(errorOf(503, body, '7').retryAfterMs, 7_000);
  assert.equal(errorOf(503, body, 'Sat, 28 Nov 2026').retryAfterMs, 1_000);
});

test('a server that is not reached is offline, and an answer that is no JSON a fault', async () => {
  const { fetcher } = answering(new TypeError('Failed to fetch'), { body: '<html>' });
  const session = new Session(null, new Kept(), fetcher);
  await assert.rejects(session.get('/x'), (error) => error instanceof ApiError && error.kind === 'offline');
  await assert.rejects(session.get('/x'), (error) => error instanceof ApiError && error.kind === 'broken');
});

test('a question that its asker gave up is no failure of the server', async () => {
  const asker = new AbortController();
  const session = new Session(null, new Kept(), async () => {
    asker.abort();
    throw asker.signal.reason;
  });
  await assert.rejects(session.get('/x', {}, { signal: asker.signal }), { name: 'AbortError' });
});

test('who signs in is kept until they sign out, and both are told', () => {
  const kept = new Kept();
  const session = new Session(null, kept, fetch);
  const told = [];
  session.addEventListener('change', () => told.push(session.userId));
  session.signIn(jwt({ user_id: 'asha' }));
  assert.equal(kept.items.size, 1);
  session.signOut();
  assert.equal(kept.items.size, 0);
  assert.deepEqual(told, ['asha', '']);
});

test('JSON is shown with its numbers as they were emitted', { skip: !exact() }, () => {
  const data = parseExactly('{"id":9007199254740993,"price":1.50,"many":[1e400,-0,7],"text":"9007199254740993"}');
  assert.ok(data.id instanceof ExactNumber);
  assert.equal(format.jsonText(data),
    '{\n  "id": 9007199254740993,\n  "price": 1.50,\n  "many": [\n    1e400,\n    -0,\n    7\n  ],\n  "text": "9007199254740993"\n}');
  assert.equal(format.previewText(data), 'id=9007199254740993  price=1.50  many=[3]  text=9007199254740993');
});

/** Whether this engine tells a reviver how a number was spelt; all browsers of today do. */
function exact() {
  return parseExactly('1.50') instanceof ExactNumber;
}

test('JSON in pieces is JSON', () => {
  const value = { a: null, b: [], c: {}, d: [true, 'x"<b>', { e: 1 }] };
  assert.deepEqual(JSON.parse(format.jsonText(value)), value);
  assert.deepEqual(format.jsonPieces('<b>'), [['text', '"<b>"']]);
});

test('shares, counts and stretches of time are written for people', () => {
  assert.deepEqual([[0, 0], [1, 3], [1, 10], [1, 100], [2, 3], [1, 5_000], [7, 7]].map(([a, b]) => format.percentText(a, b)),
    ['0%', '33%', '10%', '1%', '67%', '<0.1%', '100%']);
  assert.deepEqual([0, 999, 1_500, 59_999, 60_000, 7_200_000, 172_800_000].map(format.spanText),
    ['0 ms', '999 ms', '1.5 s', '60 s', '1 minute', '2 hours', '2 days']);
  assert.equal(format.plural(1, 'event'), '1 event');
  assert.equal(format.plural(12_345, 'event'), '12,345 events');
  assert.equal(format.agoText('2026-01-27T10:00:00Z', Date.parse('2026-01-27T10:03:00Z')), '3 minutes ago');
});

test('days are those of UTC, also across months and years', () => {
  assert.equal(format.dayAfter('2026-01-01', -1), '2025-12-31');
  assert.equal(format.dayAfter('2028-02-28', 1), '2028-02-29');
  assert.equal(format.dayOf(Date.parse('2026-01-27T23:59:59.999Z')), '2026-01-27');
});

test('what is no time is shown as it came', () => {
  for (const write of [format.momentText, format.fullText]) assert.equal(write('yesterday', 0), 'yesterday');
});

test('a line breaks where a poll failed, and says from when to when nothing is known', () => {
  const samples = new Samples(60_000, 5_000);
  samples.add(1_000, { n: 1 });
  samples.add(2_000, null);
  samples.add(3_000, null);
  samples.add(4_000, { n: 4 });
  assert.deepEqual(samples.line('n', 0), {
    points: [[1_000, 1], [2_000, null], [4_000, 4]],
    gaps: [[1_000, 4_000]],
  });
  assert.equal(samples.last.at, 4_000);
});

test('a line breaks where nobody asked', () => {
  const samples = new Samples(600_000, 5_000);
  samples.add(1_000, { n: 1 });
  samples.add(90_000, { n: 9 });
  assert.deepEqual(samples.line('n', 0), {
    points: [[1_000, 1], [1_001, null], [90_000, 9]],
    gaps: [[1_000, 90_000]],
  });
});

test('a gap that is not over reaches to the last poll, and one without a beginning from the edge', () => {
  const samples = new Samples(60_000, 5_000);
  samples.add(1_000, { n: 1 });
  samples.add(2_000, null);
  samples.add(3_000, null);
  assert.deepEqual(samples.line('n', 0).gaps, [[1_000, 3_000]]);
  assert.deepEqual(samples.line('n', 1_500).gaps, [[1_500, 3_000]]);
  samples.add(4_000, { n: 4 });
  assert.deepEqual(samples.line('n', 1_500).gaps, [[1_500, 4_000]]);
});

test('what is too old is forgotten', () => {
  const samples = new Samples(10_000, 5_000);
  for (let at = 0; at <= 30_000; at += 1_000) samples.add(at, { n: at });
  assert.equal(samples.line('n', 0).points[0][0], 20_000);
});

test('a browser keeps the name of its device, and makes another where that is none', () => {
  const kept = new Kept();
  const name = deviceIn(kept);
  assert.match(name, /^browser-[0-9a-f]{16}$/);
  assert.equal(deviceIn(kept), name);
  assert.notEqual(deviceIn(new Kept()), name);
  kept.setItem('harkara.device', 'not a name');
  assert.match(deviceIn(kept), /^browser-/);
  const forbidden = () => {
    throw new Error('SecurityError');
  };
  assert.match(deviceIn({ getItem: forbidden, setItem: forbidden }), /^browser-/);
});
