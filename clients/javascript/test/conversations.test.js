/** The client's half of the conversations that the edge's tests read too (tests/support/conversations.py). */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

import { FLUSH_MS } from '../src/session.js';
import { MemoryStorage, settled } from './support/fakes.js';
import { makeService } from './support/service.js';

const FOLDER = new URL('../../../tests/conformance/conversations/', import.meta.url);

const STARTED = Date.parse('2026-01-27T10:30:00Z');

/** The time so many seconds after the beginning. */
const at = (seconds) => new Date(STARTED + seconds * 1_000).toISOString();

/** Steps that are for tests of the edge alone. */
const FOR_THE_EDGE = ['faulty', 'emit', 'emit_ephemeral', 'mesh'];

function bound(value, values) {
  if (Array.isArray(value)) return value.map((part) => bound(part, values));
  if (value !== null && typeof value === 'object') {
    const fields = Object.entries(value).filter(([, part]) => part !== null);
    return Object.fromEntries(fields.map(([name, part]) => [name, bound(part, values)]));
  }
  return values[value] ?? value;
}

for (const file of readdirSync(FOLDER).filter((name) => name.endsWith('.json'))) {
  const conversation = JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8'));
  test(`${file}: ${conversation.about}`, () => new Held(conversation).hold());
}

/** A conversation with a client, as far as it got. */
class Held {
  #conversation;
  #values;
  #storage = new MemoryStorage();
  #client;
  /** The socket of the connection of now; null where the next message of the client is on another. */
  #socket = null;
  #read = 0;
  #told = 0;

  constructor(conversation) {
    const { user_id, client_user_id, token = 'token_1', token_seconds = 3_600, position } = conversation;
    this.#conversation = { ...conversation, userId: client_user_id ?? user_id };
    this.#values = {
      $token: token,
      $next_token: 'token_2',
      $epoch: 'epoch_1',
      $expires_at: at(token_seconds),
      $next_expires_at: at(3_600),
    };
    if (position) {
      this.#storage.setItem(`harkara:position:${this.#conversation.userId}`, JSON.stringify(position));
    }
    this.#client = this.#begin(STARTED);
  }

  #begin(time) {
    const { device_id: deviceId, renewable, userId } = this.#conversation;
    const { $token, $next_token } = this.#values;
    const tokens = [$token, $next_token];
    this.#told = 0;
    const client = makeService({
      token: renewable ? () => (tokens.length > 1 ? tokens.shift() : tokens[0]) : $token,
      userId,
      deviceId,
      storage: deviceId ? null : this.#storage,
    });
    client.clock.time = time;
    return client;
  }

  async hold() {
    for (const step of this.#conversation.steps) {
      const [[kind, content]] = Object.entries(step);
      this.#step(kind, content);
      // What waits for a token goes on.
      await settled();
    }
    this.#client.service.disconnect();
  }

  #step(kind, content) {
    const { service, clock } = this.#client;
    switch (kind) {
      case 'application': {
        const [[what, argument]] = Object.entries(content);
        return service[what](bound(argument, this.#values));
      }
      case 'client':
        return this.#hear(content);
      case 'server':
        this.#heardAll();
        return this.#socket.say(bound(content, { ...this.#values, $server_time: at((clock.time - STARTED) / 1_000) }));
      case 'cut':
        this.#heardAll().end(1006);
        this.#socket = null;
        return clock.advance(0);
      case 'close':
        this.#heardAll().end(content);
        this.#socket = null;
        return undefined;
      case 'leave':
        assert.equal(this.#heardAll().closedWith, content);
        this.#socket = null;
        return undefined;
      case 'waits_seconds': {
        const before = this.#client.sockets.length;
        if (content > 0) clock.advance(content * 1_000 - 1);
        assert.equal(this.#client.sockets.length, before, 'it came back too early');
        clock.advance(content > 0 ? 1 : 0);
        assert.equal(this.#client.sockets.length, before + 1, 'it did not come back');
        return undefined;
      }
      case 'restart':
        this.#socket = null;
        this.#client = this.#begin(clock.time);
        return undefined;
      case 'at_seconds':
        return clock.advance(STARTED + content * 1_000 - clock.time);
      case 'asleep_until_seconds':
        return clock.sleep(STARTED + content * 1_000 - clock.time);
      case 'told':
        assert.deepEqual(this.#client.told.slice(this.#told).map(shown), content);
        this.#told = this.#client.told.length;
        return undefined;
      case 'silent': {
        const before = this.#client.sockets.length;
        clock.advance(600_000);
        return assert.equal(this.#client.sockets.length, before);
      }
      default:
        return assert.ok(FOR_THE_EDGE.includes(kind), kind);
    }
  }

  /** The client says nothing more. */
  #heardAll() {
    assert.equal(this.#socket.sent.length, this.#read, `said more: ${JSON.stringify(this.#socket.sent)}`);
    return this.#socket;
  }

  /** The client says this next. */
  #hear(content) {
    if (this.#socket === null) {
      this.#socket = this.#client.socket;
      this.#read = 0;
      this.#socket.open();
    }
    // Two changes of a subscription keep their distance.
    if (this.#socket.sent.length === this.#read) this.#client.clock.advance(FLUSH_MS);
    const said = this.#socket.sent[this.#read];
    this.#read += 1;
    assert.deepEqual(said, bound(content, { ...this.#values, $time: said?.timestamp }));
  }
}

/** What the application was told, as conversations write it: an event with its number. */
function shown([name, { type, seq }]) {
  return name === '*' ? `${type} ${seq ?? '-'}` : name;
}
