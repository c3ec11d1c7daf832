import assert from 'node:assert/strict';
import { test } from 'node:test';

import { browser } from './support/browser.js';
import { event, settled } from './support/fakes.js';
import { needsReact, react, renderer } from './support/react.js';
import { makeService } from './support/service.js';

const options = needsReact();
globalThis.IS_REACT_ACT_ENVIRONMENT = true;

/** Render components that each use the hook with these arguments; `seen` has what the last rendering returned. */
async function mount(at, components) {
  const { useHarkara } = await import('../src/react.js');
  const seen = {};
  const Component = ({ name, types, onEvent }) => {
    seen[name] = useHarkara(at.service, types, onEvent);
    return null;
  };
  const tree = (rest) =>
    react.createElement(
      react.Fragment,
      null,
      rest.map((properties) => react.createElement(Component, { key: properties.name, ...properties })),
    );
  let root;
  await react.act(async () => {
    root = renderer.create(tree(components));
  });
  return {
    seen,
    update: (rest) => react.act(async () => root.update(tree(rest))),
    does: (something) => react.act(async () => something()),
  };
}

test('a test without React is skipped, and in CI it fails', () => {
  assert.equal(needsReact(false, '').skip, 'react is not installed');
  assert.throws(() => needsReact(false, 'true'), /not installed/);
  assert.equal(needsReact(true, 'true').skip, false);
});

test('a component connects, receives its events, and shows the status', options, async () => {
  const at = makeService();
  const told = [];
  const page = await mount(at, [
    { name: 'orders', types: ['order_created'], onEvent: ({ seq }) => told.push(seq) },
  ]);
  assert.equal(page.seen.orders.isConnected, false);
  await page.does(() => at.welcome());
  assert.equal(page.seen.orders.isConnected, true);
  assert.deepEqual(page.seen.orders.subscriptions, ['order_created']);
  await page.does(() => at.socket.say(event(42)));
  assert.equal(page.seen.orders.lastEvent.seq, 42);
  assert.deepEqual(told, [42]);
  await page.does(() => at.socket.end(1006));
  assert.equal(page.seen.orders.isConnected, false);
});

test('a type stays subscribed until the last component that wants it is gone', options, async () => {
  const at = makeService();
  const one = { name: 'one', types: ['order_created', 'order_ready'] };
  const two = { name: 'two', types: ['order_created'] };
  const three = { name: 'three', types: ['order_created'] };
  const page = await mount(at, [one, two, three]);
  await page.does(() => at.welcome());
  await page.update([two, three]);
  await page.update([two]);
  assert.deepEqual(at.service.getStatus().subscriptions, ['order_created']);
  await page.update([]);
  assert.deepEqual(at.service.getStatus().subscriptions, []);
  assert.equal(at.service.getStatus().isConnected, true);
});

test('a new array of the same types changes nothing, and the newest handler is called', options, async () => {
  const at = makeService();
  const told = [];
  const rendering = (number) => ({
    name: 'orders',
    types: ['order_created'],
    onEvent: ({ seq }) => told.push([number, seq]),
  });
  const page = await mount(at, [rendering(1)]);
  await page.does(() => at.welcome());
  const said = at.socket.sent.length;
  await page.update([rendering(2)]);
  assert.equal(at.socket.sent.length, said);
  await page.does(() => at.socket.say(event(42)));
  assert.deepEqual(told, [[2, 42]]);
});

test('a component that wants all and one gets that one once', options, async () => {
  const at = makeService();
  const told = [];
  const page = await mount(at, [
    { name: 'all', types: ['*', 'order_created'], onEvent: ({ seq }) => told.push(seq) },
  ]);
  await page.does(() => at.welcome());
  await page.does(() => at.socket.say(event(42)));
  assert.deepEqual(told, [42]);
});

test('a component of a tab that shares a connection shows when the tab that had it crashed', options, async () => {
  const within = browser();
  const [one, two] = [within.tab(), within.tab()].map((tab) =>
    Object.assign(makeService({ shareTabs: true, tabPlatform: tab.platform }), { crash: tab.crash }),
  );
  one.service.connect();
  one.welcome();
  const page = await mount(two, [{ name: 'orders', types: [] }]);
  await page.does(settled);
  assert.equal(page.seen.orders.isConnected, true);
  await page.does(async () => {
    one.crash();
    await settled();
  });
  assert.equal(page.seen.orders.isConnected, false);
  await page.does(() => two.welcome());
  assert.equal(page.seen.orders.isConnected, true);
});
