/** What the client takes from the page it runs in. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { fetchToken, PROVIDER_MS } from '../src/tokens.js';
import { websocketUrl } from '../src/url.js';
import { watchWakeups } from '../src/wakeups.js';
import { ManualClock } from './support/fakes.js';
import { makeService } from './support/service.js';

/** A page at an address, with or without the meta element. */
function pageAt(href, content = null) {
  return {
    location: { href },
    document: {
      querySelector: (selector) =>
        selector === 'meta[name="harkara-websocket-url"]' && content !== null
          ? { getAttribute: () => content }
          : null,
    },
  };
}

for (const [what, url, page, found] of [
  ['what the caller says', 'ws://a:1/b', pageAt('https://p/', 'wss://m/ws'), 'ws://a:1/b'],
  ['what the page names', null, pageAt('https://p/', ' wss://m/ws '), 'wss://m/ws'],
  ['a path that the page names', null, pageAt('http://p:8/x/y', '/ws'), 'ws://p:8/ws'],
  ['its own origin, encrypted', null, pageAt('https://p/x?y#z'), 'wss://p/api/websocket/ws'],
  ['its own origin, in plain text', null, pageAt('http://p:8000/'), 'ws://p:8000/api/websocket/ws'],
  ['its own origin where the name is empty', null, pageAt('https://p/', ''), 'wss://p/api/websocket/ws'],
  ['an address of the web', 'https://a/ws#x', {}, 'wss://a/ws'],
]) {
  test(`it connects to ${what}`, () => assert.equal(websocketUrl(url, page), found));
}

test('it wakes when the network comes back or is another one, and when a page is shown or seen again', () => {
  const window = new EventTarget();
  const connection = new EventTarget();
  const document = Object.assign(new EventTarget(), { visibilityState: 'visible' });
  let woken = 0;
  const end = watchWakeups({ window, document, connection }, () => {
    woken += 1;
  });
  const everything = () => {
    for (const name of ['online', 'pageshow']) window.dispatchEvent(new Event(name));
    connection.dispatchEvent(new Event('change'));
    document.dispatchEvent(new Event('visibilitychange'));
  };
  everything();
  assert.equal(woken, 4);
  document.visibilityState = 'hidden';
  document.dispatchEvent(new Event('visibilitychange'));
  assert.equal(woken, 4);
  end();
  document.visibilityState = 'visible';
  everything();
  assert.equal(woken, 4);
});

test('a page without navigator.connection, and a process without a page, are watched for what they have', () => {
  watchWakeups({ window: new EventTarget() }, () => {})();
  watchWakeups({}, () => {})();
});

test('a client in a page looks after its connection when the network is another one', (context) => {
  const connection = new EventTarget();
  const { navigator } = globalThis;
  Object.defineProperty(globalThis, 'navigator', { value: { connection }, configurable: true });
  context.after(() => Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true }));
  const at = makeService();
  at.service.connect();
  at.socket.end(1006);
  connection.dispatchEvent(new Event('change'));
  assert.equal(at.sockets.length, 2);
  at.welcome();
  at.clock.advance(3_000);
  connection.dispatchEvent(new Event('change'));
  assert.equal(at.socket.sent.at(-1).type, 'heartbeat');
  at.service.disconnect();
  connection.dispatchEvent(new Event('change'));
  assert.equal(at.sockets.length, 2);
});

test('a client that tries no more leaves nothing on the page, and watches again when it is to connect', (context) => {
  const listening = new Map();
  const counted = (name, more) => ({
    ...more,
    addEventListener: (type) => listening.set(`${name} ${type}`, (listening.get(`${name} ${type}`) ?? 0) + 1),
    removeEventListener: (type) => listening.set(`${name} ${type}`, listening.get(`${name} ${type}`) - 1),
  });
  const page = { window: counted('window'), document: counted('document', { visibilityState: 'visible' }) };
  for (const [name, value] of Object.entries(page)) {
    Object.defineProperty(globalThis, name, { value, configurable: true });
    context.after(() => delete globalThis[name]);
  }
  const each = (count) =>
    assert.deepEqual(
      [...listening],
      ['window online', 'window pageshow', 'document visibilitychange'].map((name) => [name, count]),
    );
  const at = makeService();
  at.service.connect();
  at.welcome();
  at.socket.end(1006);
  each(1);
  at.clock.advance(1_000);
  at.socket.end(4403);
  each(0);
  at.service.connect();
  each(1);
  at.service.disconnect();
  each(0);
});

test('a token provider that takes too long has failed', async () => {
  const clock = new ManualClock();
  const asked = fetchToken(() => new Promise(() => {}), 'first', clock, new AbortController().signal);
  clock.advance(PROVIDER_MS);
  await assert.rejects(asked, /too long/);
});

test('a token provider that gives no token has failed', async () => {
  const clock = new ManualClock();
  for (const nothing of [undefined, null, '', 7]) {
    await assert.rejects(
      fetchToken(() => nothing, 'first', clock, new AbortController().signal),
      /no token/,
    );
  }
  assert.equal(clock.pending, 0);
});
