/** The README's examples, as they stand there, with a page and a server of the test's. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { afterEach, test } from 'node:test';

import { authenticated, event, fakeSockets, MemoryStorage, settled } from './support/fakes.js';
import { needsReact, react, renderer } from './support/react.js';

const README = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
const SOURCES = {
  "'@harkara/client'": new URL('../src/index.js', import.meta.url).href,
  "'@harkara/client/react'": new URL('../src/react.js', import.meta.url).href,
};

/** An example's text, by the mark before it. */
function example(name) {
  const [, text] = README.match(new RegExp(`<!-- example: ${name} -->\n\`\`\`javascript\n(.*?)\`\`\``, 's'));
  return text;
}

const kept = {};

/** Put these in the place of a page's globals. */
function page(globals) {
  for (const [name, value] of Object.entries(globals)) {
    kept[name] ??= Object.getOwnPropertyDescriptor(globalThis, name);
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
}

afterEach(() => {
  for (const [name, descriptor] of Object.entries(kept)) {
    if (descriptor) Object.defineProperty(globalThis, name, descriptor);
    else delete globalThis[name];
    delete kept[name];
  }
});

/** Run an example; returns its promise, its sockets, what it logged, and the client it made. */
function run(name, globals = {}) {
  const { Socket, opened } = fakeSockets();
  const logged = [];
  const storage = new MemoryStorage();
  storage.setItem('jwt_token', 'token_1');
  storage.setItem('user_id', 'user_123');
  page({
    WebSocket: Socket,
    localStorage: storage,
    sessionStorage: new MemoryStorage(),
    location: { href: 'https://shop.example/orders', reload: () => logged.push(['reload']) },
    ...globals,
  });
  page({ console: { ...console, log: (...words) => logged.push(words) } });
  let text = `${example(name)}\nglobalThis.made = ws;`;
  for (const [name, url] of Object.entries(SOURCES)) text = text.replaceAll(name, JSON.stringify(url));
  const file = `data:text/javascript,${encodeURIComponent(text)}//${Math.random()}`;
  return { done: import(file), opened, logged };
}

test('every example of the README is run', () => {
  const names = [...README.matchAll(/<!-- example: (.*?) -->/g)].map(([, name]) => name);
  assert.deepEqual(names, ['reference', 'token', 'coming-back', 'react']);
  assert.equal(README.match(/^```javascript$/gm).length, names.length);
});

test('the example of the reference does what it says', async () => {
  const { done, opened, logged } = run('reference');
  await until(() => opened.length === 1);
  assert.equal(opened[0].url, 'wss://shop.example/api/websocket/ws');
  opened[0].open();
  opened[0].say(authenticated());
  await done;
  assert.equal(logged[0][0].isConnected, true);
  opened[0].say(event(42, { event_type: 'earning_recorded', event_level: 'medium', data: { amount: 75 } }));
  assert.deepEqual(logged.slice(1), [['Earned ₹75'], ['[earning_recorded]', 'medium', 42]]);
  globalThis.made.disconnect();
});

test('the example of a token function asks the application for one', async () => {
  const asked = [];
  const { done, opened } = run('token', {
    fetch: async (url) => {
      asked.push(url);
      return { json: async () => ({ token: 'token_9' }) };
    },
  });
  await done;
  globalThis.made.connect();
  await settled();
  opened[0].open();
  assert.deepEqual(asked, ['/session/token?reason=first']);
  assert.equal(opened[0].sent[0].token, 'token_9');
  globalThis.made.disconnect();
});

test('the example of coming back keeps its place, and tells when it is out', async () => {
  const { done, opened, logged } = run('coming-back');
  await done;
  opened[0].open();
  opened[0].say(authenticated());
  assert.deepEqual(JSON.parse(sessionStorage.getItem('harkara:position:user_123')), {
    epoch: 'epoch_1',
    seq: 41,
  });
  opened[0].say({ type: 'error', code: 'forbidden' });
  opened[0].end(4403);
  assert.deepEqual(logged, [['signed out: forbidden']]);
});

test('the example of React renders', needsReact(), async () => {
  const { done, opened } = run('react');
  const { OrderBanner } = await done;
  globalThis.IS_REACT_ACT_ENVIRONMENT = true;
  let root;
  await react.act(async () => {
    root = renderer.create(react.createElement(OrderBanner));
  });
  assert.equal(root.toJSON(), 'connecting …');
  await react.act(async () => {
    opened[0].open();
    opened[0].say(authenticated());
  });
  assert.equal(root.toJSON(), 'no news');
  await react.act(async () => opened[0].say(event(42)));
  assert.equal(root.toJSON(), 'ord_42: order_created');
  globalThis.made.disconnect();
});

/** Wait, by turns of the loop, until this is so. */
async function until(isSo) {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve));
}
