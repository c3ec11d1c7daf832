/** The client's half of the conversations that the edge's tests read too (tests/support/conversations.py). */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

import { MemoryStorage } from './support/fakes.js';
import { makeService } from './support/service.js';

const FOLDER = new URL('../../../tests/conformance/conversations/', import.meta.url);

const STARTED = Date.parse('2026-01-27T10:30:00Z');

/** What stands for the names in messages of the server. */
const VALUES = { $epoch: 'epoch_1', $server_time: '2026-01-27T10:30:00.000Z' };

function bound(value, values) {
  if (Array.isArray(value)) return value.map((part) => bound(part, values));
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, bound(part, values)]));
  }
  return values[value] ?? value;
}

for (const file of readdirSync(FOLDER).filter((name) => name.endsWith('.json'))) {
  const conversation = JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8'));
  test(`${file}: ${conversation.about}`, () => hold(conversation));
}

function hold({ user_id, client_user_id, token = 'token_1', position, steps }) {
  const storage = new MemoryStorage();
  const userId = client_user_id ?? user_id;
  if (position) storage.setItem(`harkara:position:${userId}`, JSON.stringify(position));
  const at = makeService({ token, userId, storage, random: () => 0 });
  let socket = null;
  let read = 0;
  let told = 0;
  for (const step of steps) {
    const [[kind, content]] = Object.entries(step);
    switch (kind) {
      case 'application': {
        const [[what, types]] = Object.entries(content);
        at.service[what](types);
        break;
      }
      case 'client': {
        if (at.socket !== socket) {
          socket = at.socket;
          read = 0;
          socket.open();
        }
        const said = socket.sent[read];
        read += 1;
        const time = said?.timestamp;
        assert.deepEqual(said, bound(content, { ...VALUES, $token: token, $time: time }));
        break;
      }
      case 'server':
        assert.equal(read, socket.sent.length, `said more: ${JSON.stringify(socket.sent.slice(read))}`);
        socket.say(bound(content, VALUES));
        // Two changes of a subscription keep their distance.
        at.clock.advance(100);
        break;
      case 'cut':
        socket.end(1006);
        at.clock.advance(0);
        break;
      case 'close':
        socket.end(content);
        break;
      case 'pass_seconds':
        // What the steps before took counts.
        at.clock.advance(content * 1_000 - (at.clock.time - STARTED));
        break;
      case 'told':
        assert.deepEqual(
          at.told.slice(told).map(([name, { type, seq }]) => (name === '*' ? `${type} ${seq}` : name)),
          content,
        );
        told = at.told.length;
        break;
      case 'silent':
        at.clock.advance(600_000);
        assert.equal(at.socket, socket);
        break;
      default:
        assert.equal(kind, 'emit');
    }
  }
  at.service.disconnect();
}

