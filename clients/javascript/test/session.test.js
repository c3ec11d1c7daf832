import assert from 'node:assert/strict';
import { test } from 'node:test';

import { LATE_MS, PROBE_MS, SILENCE_MS } from '../src/liveness.js';
import { WAKE_GAP_MS } from '../src/retries.js';
import { FLUSH_MS, HANDSHAKE_MS } from '../src/session.js';
import { IllegalMoveError, MOVES } from '../src/states.js';
import { RENEW_GAP_MS, TIME_MS } from '../src/token_life.js';
import { authenticated, event } from './support/fakes.js';
import { names, only, sessionAt, timer } from './support/sessions.js';

test('every move leads to a state of the table, and every state can be disconnected', () => {
  for (const moves of Object.values(MOVES)) {
    for (const next of Object.values(moves)) assert.ok(next in MOVES, next);
    assert.equal(moves.disconnect, 'idle');
  }
});

test('every state is reached by what the table says', () => {
  for (const state of Object.keys(MOVES)) {
    const session = sessionAt(state, state === 'fetching' ? { renewable: true, token: null } : {});
    assert.equal(session.state, state);
  }
});

test('a move that the table does not have throws and changes nothing', () => {
  for (const state of ['idle', 'authenticating', 'open', 'waiting', 'stopped']) {
    const session = sessionAt(state);
    assert.throws(() => session.opened(0), IllegalMoveError);
    assert.equal(session.state, state);
  }
});

for (const code of [1001, 1005, 1006, 3000, 4999]) {
  test(`a close with ${code}, which the table does not have, is a loss: the first attempt is at once`, () => {
    const session = sessionAt('open');
    assert.equal(timer(session.closed(code, '', 20_000), 'retry'), 0);
  });
}

test('waits grow with every failure, up to a minute, and begin anew after a connection that lasted', () => {
  const session = sessionAt('connecting', { random: () => 0.999999 });
  const waits = [];
  let now = 0;
  for (let failure = 0; failure < 9; failure += 1) {
    waits.push(Math.round(timer(session.closed(1013, '', now), 'retry') / 1_000));
    session.timerFired('retry', now);
  }
  assert.deepEqual(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
  session.opened(now);
  session.received(authenticated(), now);
  now += 1_000;
  assert.equal(Math.round(timer(session.closed(1013, '', now), 'retry') / 1_000), 60);
  session.timerFired('retry', now);
  session.opened(now);
  session.received(authenticated(), now);
  now += 10_000;
  assert.equal(Math.round(timer(session.closed(1013, '', now), 'retry') / 1_000), 1);
});

test('a wait may be anything from nothing to its bound', () => {
  const none = sessionAt('connecting', { random: () => 0 });
  assert.equal(timer(none.closed(1013, '', 0), 'retry'), 0);
});

test('a connection of which nothing is heard for 75 seconds is dead', () => {
  const session = sessionAt('open');
  session.received({ type: 'heartbeat_ack', seq: 41 }, 30_000);
  const later = session.timerFired('silence', SILENCE_MS);
  assert.equal(timer(later, 'silence'), 30_000);
  const effects = session.timerFired('silence', 30_000 + SILENCE_MS);
  assert.equal(session.state, 'waiting');
  assert.equal(only(effects, 'close').length, 1);
});

test('a handshake that takes too long is a failed attempt', () => {
  const session = sessionAt('authenticating');
  session.timerFired('handshake', HANDSHAKE_MS);
  assert.equal(session.state, 'waiting');
});

test('heartbeats come as often as the server says, and acknowledge how far this client got', () => {
  const session = sessionAt('authenticating');
  assert.equal(timer(session.received(authenticated({ heartbeat_interval: 5 }), 0), 'heartbeat'), 5_000);
  session.subscribe(['*'], 0);
  session.received(event(42), 1);
  const [beat] = only(session.timerFired('heartbeat', 5_000), 'send');
  assert.deepEqual(beat.message, { type: 'heartbeat', timestamp: '1970-01-01T00:00:05.000Z', ack: 42 });
});

test('waking up ends a wait, unless the server asked for patience', () => {
  const lost = sessionAt('connecting');
  lost.closed(1006, '', 0);
  lost.woke(1);
  assert.equal(lost.state, 'connecting');
  const asked = sessionAt('connecting');
  asked.closed(4429, '', 0);
  assert.deepEqual(asked.woke(1), []);
  assert.equal(asked.state, 'waiting');
});

test('waking up asks an open connection for a sign of life, once', () => {
  const session = sessionAt('open');
  const effects = session.woke(60_000);
  assert.equal(only(effects, 'send')[0].message.type, 'heartbeat');
  assert.equal(timer(effects, 'probe'), PROBE_MS);
  assert.deepEqual(session.woke(60_500), []);
  session.timerFired('probe', 60_000 + PROBE_MS);
  assert.equal(session.state, 'waiting');
});

test('waking up in storms brings one attempt, and one more when the storm is over', () => {
  const session = sessionAt('waiting');
  assert.equal(only(session.woke(10_000), 'open').length, 1);
  session.closed(1006, '', 10_001);
  for (let change = 0; change < 100; change += 1) {
    const effects = session.woke(10_010 + change);
    assert.deepEqual(effects, [{ kind: 'set_timer', name: 'wake', ms: WAKE_GAP_MS - 10 - change }]);
  }
  assert.equal(session.state, 'waiting');
  assert.equal(only(session.timerFired('wake', 10_000 + WAKE_GAP_MS), 'open').length, 1);
  session.closed(1006, '', 20_000);
  assert.equal(only(session.woke(20_000), 'open').length, 1);
});

test('a clock that was set back does not keep a client from waking or from telling what it wants', () => {
  const session = sessionAt('waiting');
  session.woke(10_000_000);
  session.closed(1006, '', 10_000_001);
  assert.equal(only(session.woke(0), 'open').length, 1);
  const open = sessionAt('open');
  open.subscribe(['a'], 10_000_000);
  assert.equal(timer(open.subscribe(['b'], 0), 'flush'), FLUSH_MS);
  open.received({ type: 'heartbeat_ack' }, 10_000_000);
  assert.equal(timer(open.timerFired('silence', 0), 'silence'), SILENCE_MS);
});

test('a heartbeat that is much too late asks the connection for an answer, for the machine slept', () => {
  const session = sessionAt('open');
  const effects = session.timerFired('heartbeat', 30_000 + LATE_MS);
  assert.deepEqual(
    only(effects, 'send').map(({ message }) => message.type),
    ['heartbeat'],
  );
  assert.equal(timer(effects, 'probe'), PROBE_MS);
  assert.equal(timer(effects, 'heartbeat'), 30_000);
  session.timerFired('probe', 30_000 + LATE_MS + PROBE_MS);
  assert.equal(session.state, 'waiting');
});

test('a heartbeat that is hardly late is one like any other', () => {
  const session = sessionAt('open');
  assert.equal(timer(session.timerFired('heartbeat', 30_000 + LATE_MS - 1), 'probe'), undefined);
  assert.equal(timer(session.timerFired('heartbeat', 60_000 + LATE_MS), 'probe'), undefined);
});

test('a connection that answers after waking up stays', () => {
  const session = sessionAt('open');
  session.woke(60_000);
  session.received({ type: 'heartbeat_ack', seq: 41 }, 60_001);
  assert.deepEqual(session.timerFired('probe', 60_000 + PROBE_MS), []);
  assert.equal(session.state, 'open');
});

test('changes of the subscription that come close are told together', () => {
  const session = sessionAt('open');
  assert.equal(only(session.subscribe(['a'], 1_000), 'send').length, 1);
  assert.equal(timer(session.subscribe(['b'], 1_010), 'flush'), FLUSH_MS - 10);
  assert.deepEqual(session.subscribe(['c'], 1_020), []);
  assert.equal(session.queuedMessages, 1);
  const [message] = only(session.timerFired('flush', 1_000 + FLUSH_MS), 'send');
  assert.deepEqual(message.message, { type: 'subscribe', events: ['b', 'c'] });
});

test('what waits for a connection is at most a message of each kind', () => {
  const session = sessionAt('idle');
  for (let count = 0; count < 10_000; count += 1) {
    session.subscribe([`type_${count % 100}`], 0);
    session.unsubscribe([`type_${(count + 7) % 100}`], 0);
  }
  assert.equal(session.queuedMessages, 1);
  assert.throws(
    () =>
      session.subscribe(
        Array.from({ length: 201 }, (_, index) => `more_${index}`),
        0,
      ),
    RangeError,
  );
});

test('an event that is on its way when its type is wanted no more is not told, and moves the position', () => {
  const session = sessionAt('open');
  session.subscribe(['order_created'], 0);
  session.unsubscribe(['order_created'], 200);
  const effects = session.received(event(42), 201);
  assert.deepEqual(
    only(effects, 'event').map(({ isWanted }) => isWanted),
    [false],
  );
  assert.equal(session.position.seq, 42);
});

test('an event that is stored nowhere is told, and moves no position', () => {
  const session = sessionAt('open');
  session.subscribe(['*'], 0);
  const effects = session.received(event(null, { event_id: 'evt_ephemeral' }), 1);
  assert.deepEqual(
    effects.map((effect) => effect.kind),
    ['event'],
  );
  assert.equal(session.position.seq, 41);
});

test('of the ids of events only so many are remembered', () => {
  const session = sessionAt('open', { rememberedIds: 2 });
  session.subscribe(['*'], 0);
  const isTold = (id) => only(session.received(event(null, { event_id: id }), 1), 'event').length === 1;
  assert.deepEqual(['a', 'b', 'b', 'c', 'a'].map(isTold), [true, true, false, true, true]);
});

test('a device without a position leaves it to the server, and acknowledges when it goes', () => {
  const session = sessionAt('connecting', { deviceId: 'phone' });
  session.subscribe(['*'], 0);
  const [{ message }] = session.opened(0);
  assert.deepEqual([message.device_id, message.resume], ['phone', { events: ['*'] }]);
  session.received(authenticated({ seq: 40, recovered: true }), 0);
  session.received(event(41), 1);
  const [ack] = only(session.disconnect(), 'send');
  assert.deepEqual(ack.message, { type: 'ack', seq: 41 });
});

test('messages and fields that are not known are ignored', () => {
  const session = sessionAt('open');
  for (const message of [null, 7, 'text', [], {}, { type: 'later' }, { type: 7 }, { event_type: 7 }]) {
    assert.deepEqual(session.received(message, 1), []);
  }
});

test('a new token that is refused again and again ends it', () => {
  const session = sessionAt('connecting', { renewable: true });
  for (let refusal = 1; refusal <= 3; refusal += 1) {
    session.closed(4401, '', 0);
    assert.equal(session.state, 'waiting');
    assert.deepEqual(only(session.timerFired('retry', 0), 'fetch_token'), [
      { kind: 'fetch_token', reason: 'refused' },
    ]);
    session.tokenReady(`token_${refusal}`, 0);
  }
  session.closed(4401, '', 0);
  assert.equal(session.state, 'stopped');
});

test('a token that nobody can verify now is offered again before the old one ends', () => {
  const session = sessionAt('authenticating', { renewable: true });
  const expires = new Date(600_000).toISOString();
  assert.equal(timer(session.received(authenticated({ expires_at: expires }), 0), 'renew'), 540_000);
  session.received({ type: 'heartbeat_ack' }, 540_000);
  assert.equal(only(session.timerFired('renew', 540_000), 'fetch_token').length, 1);
  assert.equal(timer(session.tokenReady('token_2', 540_000), 'renew'), 30_000);
  session.received({ type: 'error', code: 'try_again_later' }, 540_001);
  assert.equal(session.state, 'open');
  assert.equal(only(session.timerFired('renew', 570_000), 'fetch_token').length, 1);
});

test('where the server names no sound interval, a heartbeat comes every 30 seconds', () => {
  for (const interval of [undefined, null, 0, -1, 'soon']) {
    const session = sessionAt('authenticating');
    const effects = session.received(authenticated({ heartbeat_interval: interval }), 0);
    assert.equal(timer(effects, 'heartbeat'), 30_000);
  }
  const rare = sessionAt('authenticating');
  assert.equal(timer(rare.received(authenticated({ heartbeat_interval: 600 }), 0), 'heartbeat'), SILENCE_MS / 2);
});

test('a token that lasts longer than a timer can wait for is not renewed when the timer ends', () => {
  const year = 365 * 24 * 3_600_000;
  const session = sessionAt('authenticating', { renewable: true });
  const effects = session.received(authenticated({ expires_at: new Date(year).toISOString() }), 0);
  const first = timer(effects, 'renew');
  assert.equal(first, 2 ** 31 - 1);
  assert.deepEqual(
    session.timerFired('renew', first).map(({ kind, name }) => [kind, name]),
    [['set_timer', 'renew']],
  );
});

const HOUR = 3_600_000;

/** What the server says to a heartbeat at this time of its. */
const ackAt = (time) => ({ type: 'heartbeat_ack', timestamp: new Date(time).toISOString(), seq: 41 });

/** When, in its token's hour, a session asks for another or tells that it ends. It beats as rarely as it may. */
function renewals(wrong, options) {
  const session = sessionAt('authenticating', options);
  const ends = new Date(101 * HOUR).toISOString();
  const rarely = SILENCE_MS / 2_000;
  let effects = session.received(
    authenticated({ expires_at: ends, heartbeat_interval: rarely }),
    100 * HOUR + wrong,
  );
  let due = Infinity;
  let beat = Infinity;
  const found = [];
  for (let passed = 0; passed < HOUR; passed += 100) {
    const now = 100 * HOUR + wrong + passed;
    if (passed >= due) {
      due = Infinity;
      effects.push(...session.timerFired('renew', now));
    }
    if (passed >= beat) {
      beat = Infinity;
      effects.push(...session.timerFired('heartbeat', now));
    }
    const isAsked = only(effects, 'send').some(({ message }) => message.type === 'heartbeat');
    due = (timer(effects, 'renew') ?? due - passed) + passed;
    beat = (timer(effects, 'heartbeat') ?? beat - passed) + passed;
    const isFetched = only(effects, 'fetch_token').length > 0;
    if (isFetched || names(effects).includes('token_expiring')) found.push(passed);
    effects = isFetched ? session.tokenReady(`token_${passed}`, now) : [];
    if (isAsked) {
      effects.push(...session.received(ackAt(now - wrong + 50), now + 50));
      due = (timer(effects, 'renew') ?? due - passed) + passed;
    }
  }
  return found;
}

for (const [what, wrong] of [
  ['ahead', 5 * HOUR],
  ['ahead by as much as a token lasts, but for a minute,', HOUR - 61_000],
  ['behind', -5 * HOUR],
]) {
  for (const [how, options] of [
    ['asked for', { renewable: true }],
    ['said to end', {}],
  ]) {
    test(`by a clock that is ${what} no token is ${how} before a minute before its end`, () => {
      const [first] = renewals(wrong, options);
      assert.ok(Math.abs(first - (HOUR - 60_000)) <= 200, String(first));
    });
  }

  test(`by a clock that is ${what} a token still counts after a loss`, () => {
    const session = sessionAt('authenticating', { renewable: true });
    const now = 100 * HOUR + wrong;
    session.received(authenticated({ expires_at: new Date(101 * HOUR).toISOString() }), now);
    const later = session.received(ackAt(100 * HOUR), now);
    assert.equal(timer(later, 'renew'), HOUR - 60_000);
    assert.deepEqual(session.received(ackAt(100 * HOUR + 1_000), now + 1_000), []);
    session.closed(1006, '', now + 2_000);
    assert.deepEqual(only(session.timerFired('retry', now + 2_000), 'fetch_token'), []);
  });
}

test('where the server does not say its time, a token that seems to end is asked for after a short while', () => {
  const session = sessionAt('authenticating', { renewable: true });
  const effects = session.received(authenticated({ expires_at: new Date(1_000).toISOString() }), 10_000);
  assert.equal(timer(effects, 'renew'), TIME_MS);
  assert.deepEqual(session.received({ type: 'heartbeat_ack', timestamp: 'soon', seq: 41 }, 10_001), []);
  assert.equal(only(session.timerFired('renew', 10_000 + TIME_MS), 'fetch_token').length, 1);
});

test('a token that was given while the server is asked for its time is not said to end', () => {
  const session = sessionAt('authenticating');
  session.received(authenticated({ expires_at: new Date(1_000).toISOString() }), 10_000);
  assert.equal(timer(session.tokenReady('token_2', 10_001), 'renew'), TIME_MS);
});

test('a token that ends at once is renewed after half its life, and not in a tight loop', () => {
  const session = sessionAt('authenticating', { renewable: true });
  const ends = (time) => authenticated({ expires_at: new Date(time).toISOString() });
  session.received(ends(1_000), 0);
  assert.equal(timer(session.received(ackAt(0), 0), 'renew'), 500);
  session.timerFired('renew', 500);
  assert.equal(timer(session.tokenReady('token_2', 600), 'renew'), RENEW_GAP_MS - 100);
  assert.equal(timer(session.received(ends(1_600), 700), 'renew'), RENEW_GAP_MS - 200);
  // Nor does it take longer where somebody sets the clock back.
  assert.equal(timer(session.received(ackAt(800), 800 - HOUR), 'renew'), RENEW_GAP_MS);
});

test('a token that was given while another was under way is offered once that one is accepted', () => {
  const session = sessionAt('authenticating');
  assert.deepEqual(session.tokenReady('token_2', 1), []);
  const offered = only(session.received(authenticated(), 2), 'send').map(({ message }) => message);
  assert.deepEqual(offered, [{ type: 'auth', token: 'token_2' }]);
  assert.deepEqual(only(session.received(authenticated(), 3), 'send'), []);
});

test('a token that was given while another was under way is tried where that one is refused', () => {
  const session = sessionAt('authenticating');
  session.tokenReady('token_2', 1);
  session.closed(4401, '', 2);
  assert.equal(session.state, 'waiting');
  session.timerFired('retry', 3);
  const [{ message }] = only(session.opened(4), 'send');
  assert.equal(message.token, 'token_2');
  session.closed(4401, '', 5);
  assert.equal(session.state, 'stopped');
});

test('a client that is told to say less says all anew in a connection of its own, later', () => {
  const session = sessionAt('open');
  session.subscribe(['order_created'], 1);
  const effects = session.received({ type: 'error', code: 'rate_limited' }, 20_000);
  assert.equal(session.state, 'waiting');
  assert.equal(only(effects, 'close').length, 1);
  assert.equal(timer(effects, 'retry'), 500);
  assert.deepEqual(session.woke(20_001), []);
  session.timerFired('retry', 20_500);
  assert.deepEqual(session.opened(20_500)[0].message.resume.events, ['order_created']);
});

test('an error is why a connection ended only where nothing came after it', () => {
  const session = sessionAt('open');
  session.received({ type: 'error', code: 'unknown_event_type', events: ['a'] }, 1);
  session.received({ type: 'heartbeat_ack', seq: 41 }, 30_000);
  const [{ detail }] = only(session.closed(1006, 'cut', 40_000), 'tell');
  assert.equal(detail.reason, 'cut');
});

test('an error is not why a later attempt failed', () => {
  const session = sessionAt('open');
  session.received({ type: 'error', code: 'server_restarting' }, 1);
  assert.equal(only(session.closed(1012, '', 2), 'tell')[0].detail.reason, 'server_restarting');
  for (let failure = 1; failure <= 3; failure += 1) {
    session.timerFired('retry', 60_000);
    session.closed(1006, 'no connection', 60_001);
  }
  session.timerFired('retry', 60_000);
  const failed = only(session.closed(1006, 'no connection', 60_001), 'tell').at(-1);
  assert.equal(failed.name, 'connection_failed');
  assert.deepEqual(failed.detail, { code: 1006, reason: 'no connection', attempts: 5, final: false });
});

test('a number that can be no position moves none', () => {
  for (const seq of [Infinity, NaN, -1, 41.5, 2 ** 60, '57', null, {}]) {
    const session = sessionAt('open');
    session.received(event(seq), 1);
    session.received({ type: 'heartbeat_ack', seq }, 1);
    assert.deepEqual(session.position, { epoch: 'epoch_1', seq: 41 });
    const other = sessionAt('authenticating');
    other.received(authenticated({ seq }), 0);
    assert.deepEqual(other.position, { epoch: 'epoch_1', seq: 0 });
  }
});

test('a server that wants a flood of heartbeats gets one a second', () => {
  const session = sessionAt('authenticating');
  const effects = session.received(authenticated({ heartbeat_interval: 0.001 }), 0);
  assert.equal(timer(effects, 'heartbeat'), 1_000);
});

test('a close where there is no connection changes nothing', () => {
  for (const state of ['idle', 'waiting', 'stopped']) {
    const session = sessionAt(state);
    assert.deepEqual(session.closed(1006, '', 1), []);
    assert.equal(session.state, state);
  }
});

test('a client that changes its mind all the time stays within what a server lets it say', () => {
  const session = sessionAt('open');
  let said = 0;
  let flush = null;
  for (let now = 1; now <= 10_000; now += 1) {
    const type = `type_${now % 50}`;
    const effects = now % 2 === 0 ? session.subscribe([type], now) : session.unsubscribe([`type_${(now - 1) % 50}`], now);
    if (flush === now) effects.push(...session.timerFired('flush', now));
    const set = timer(effects, 'flush');
    if (set !== undefined) flush = now + set;
    said += only(effects, 'send').length;
  }
  assert.ok(said > 50 && said < 150, String(said));
});

test('a token that is asked for is not asked for again when the connection breaks meanwhile', () => {
  const session = sessionAt('authenticating', { renewable: true });
  session.received(authenticated({ expires_at: new Date(60_000).toISOString() }), 0);
  assert.equal(only(session.timerFired('renew', 30_000), 'fetch_token').length, 1);
  session.closed(1006, '', 40_000);
  assert.deepEqual(only(session.timerFired('retry', 40_000), 'fetch_token'), []);
  assert.equal(session.state, 'fetching');
  session.tokenReady('token_2', 41_000);
  assert.equal(session.opened(41_001)[0].message.token, 'token_2');
});
