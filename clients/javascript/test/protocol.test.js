/** The client's half of what it has in common with the edge (tests/support/shared_protocol.py). */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { CLOSE_ACTIONS } from '../src/close_codes.js';
import { HEARD, MOVES } from '../src/states.js';
import { authenticated, event } from './support/fakes.js';
import { names, only, sessionAt, timer } from './support/sessions.js';

const SHARED = JSON.parse(
  readFileSync(new URL('../../../tests/conformance/protocol.json', import.meta.url), 'utf8'),
);
const { before_authenticated: BEFORE, authenticated: AUTHENTICATED } = SHARED.phases;

/** Which phase a state belongs to; in the others there is no connection. */
const PHASES = { authenticating: BEFORE, open: AUTHENTICATED };

/** One of each kind of message. */
const SAID = {
  authenticated: authenticated(),
  subscription_updated: { type: 'subscription_updated', subscribed_events: [] },
  heartbeat_ack: { type: 'heartbeat_ack', seq: 99 },
  event: event(99),
  error: { type: 'error', code: 'internal_error' },
};

/** Everything that an application or the world can do to a session, but for what the server says. */
const DONE = {
  connect: (session) => session.connect(1),
  disconnect: (session) => session.disconnect(),
  subscribe: (session) => session.subscribe(['order_created'], 1),
  unsubscribe: (session) => {
    session.subscription.startFrom(['order_created']);
    return session.unsubscribe(['order_created'], 1);
  },
  'share with others': (session) => session.shareWith(['order_created'], 1),
  'give a token': (session) => session.tokenReady('token_2', 1),
  'fail to give a token': (session) => session.tokenFailed('no network', 1),
  'open the socket': (session) => (session.state === 'connecting' ? session.opened(1) : []),
  wake: (session) => session.woke(60_000),
  // Timers of a connection: they are set in it, and cleared at its end.
  ...Object.fromEntries(
    ['heartbeat', 'silence', 'probe', 'renew', 'flush'].map((name) => [
      `let ${name} be due`,
      (session) => (session.state === 'open' ? session.timerFired(name, 1) : []),
    ]),
  ),
};

test('a client says in each phase what it may, and all of it', () => {
  const said = { authenticating: new Set(), open: new Set() };
  for (const state of Object.keys(MOVES)) {
    for (const [what, act] of Object.entries(DONE)) {
      const fetches = state === 'fetching';
      const session = sessionAt(state, {
        deviceId: 'phone',
        position: { epoch: 'epoch_1', seq: 7 },
        renewable: fetches,
        token: fetches ? null : 'token_1',
      });
      const effects = act(session);
      for (const { message } of only(effects, 'send')) {
        // A socket that has just opened is in its first phase.
        const then = what === 'open the socket' ? 'authenticating' : state;
        assert.ok(PHASES[then]?.client.includes(message.type), `${message.type} in ${then}: ${what}`);
        said[then].add(message.type);
      }
    }
  }
  for (const [state, phase] of Object.entries(PHASES)) assert.deepEqual(said[state], new Set(phase.client));
});

test('a client hears in each phase what it may be told', () => {
  assert.deepEqual(Object.keys(SAID).toSorted(), AUTHENTICATED.server.toSorted());
  for (const [state, phase] of Object.entries(PHASES)) assert.deepEqual(HEARD[state], new Set(phase.server));
  assert.deepEqual(Object.keys(HEARD), Object.keys(PHASES));
});

for (const state of Object.keys(MOVES)) {
  for (const [kind, message] of Object.entries(SAID)) {
    if (PHASES[state]?.server.includes(kind)) continue;
    test(`${kind} in ${state} changes nothing`, () => {
      const session = sessionAt(state);
      const before = [session.state, structuredClone(session.position)];
      assert.deepEqual(session.received(message, 1), []);
      assert.deepEqual([session.state, session.position], before);
    });
  }
}

test('the closes that a client knows are those of the server', () => {
  const known = [...CLOSE_ACTIONS].map(([code, client]) => [String(code), client]);
  const told = Object.entries(SHARED.closes).map(([code, { client }]) => [code, client]);
  assert.deepEqual(known.toSorted(), told.toSorted());
});

for (const [code, { client }] of Object.entries(SHARED.closes)) {
  test(`after a close with ${code} a connection that had lasted does this: ${client}`, () => {
    const { comes_back, waits_seconds, new_token } = SHARED.reactions[client];
    const session = sessionAt('open', { renewable: true });
    const effects = session.closed(Number(code), '', 20_000);
    assert.equal(session.state, comes_back ? 'waiting' : 'stopped');
    assert.equal(names(effects).includes('connection_failed'), !comes_back);
    if (!comes_back) return assert.equal(timer(effects, 'retry'), undefined);
    assert.equal(timer(effects, 'retry'), waits_seconds * 1_000);
    const asked = only(session.timerFired('retry', 25_000), 'fetch_token');
    return assert.deepEqual(
      asked.map(({ reason }) => reason),
      new_token ? ['refused'] : [],
    );
  });
}

for (const [code, { stays_open, close }] of Object.entries(SHARED.errors)) {
  // What a message said that was refused for its number is lost: the client comes back and says it anew.
  if (code === 'rate_limited') continue;
  test(`the error ${code} ${stays_open ? 'alone ends no connection' : 'is why the connection ends'}`, () => {
    const session = sessionAt('open');
    assert.deepEqual(names(session.received({ type: 'error', code }, 1)), ['error']);
    assert.equal(session.state, 'open');
    if (close === null) return;
    const [{ detail }] = only(session.closed(close, '', 2), 'tell');
    assert.deepEqual([detail.code, detail.reason], [close, code]);
  });
}
