/**
 * What tests give the client in place of the world: a clock that goes when told, sockets that a test speaks for, and
 * randomness that is a number.
 */

/** A clock that stands still until it is advanced; timers run in order. */
export class ManualClock {
  time = Date.parse('2026-01-27T10:30:00Z');
  #timers = new Map();
  #next = 1;

  now = () => this.time;

  setTimeout = (callback, ms) => {
    this.#timers.set(this.#next, { callback, due: this.time + ms });
    return this.#next++;
  };

  clearTimeout = (timer) => {
    this.#timers.delete(timer);
  };

  /** How many timers are set. */
  get pending() {
    return this.#timers.size;
  }

  /** Go on by so many milliseconds. */
  advance(ms) {
    const end = this.time + ms;
    for (;;) {
      const [first] = [...this.#timers].sort(([, a], [, b]) => a.due - b.due);
      if (!first || first[1].due > end) break;
      this.#timers.delete(first[0]);
      this.time = Math.max(this.time, first[1].due);
      first[1].callback();
    }
    this.time = end;
  }

  /** Go on by so many milliseconds, of which timers notice nothing: the machine sleeps. */
  sleep(ms) {
    this.time += ms;
  }
}

/** A WebSocket whose other end is the test. */
export class FakeSocket extends EventTarget {
  sent = [];
  closedWith = null;

  constructor(url) {
    super();
    this.url = url;
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close(code) {
    this.closedWith = code;
  }

  // The other end.

  open() {
    this.dispatchEvent(new Event('open'));
  }

  say(message) {
    this.dispatchEvent(Object.assign(new Event('message'), { data: JSON.stringify(message) }));
  }

  sayText(data) {
    this.dispatchEvent(Object.assign(new Event('message'), { data }));
  }

  end(code, reason = '') {
    this.dispatchEvent(Object.assign(new Event('close'), { code, reason }));
  }
}

/** A class of sockets, and those that were opened. */
export function fakeSockets() {
  const opened = [];
  class Socket extends FakeSocket {
    constructor(url) {
      super(url);
      opened.push(this);
    }
  }
  return { Socket, opened };
}

/** What the server says to a sound `auth`. */
export function authenticated(fields = {}) {
  return {
    type: 'authenticated',
    user_id: 'user_123',
    user_role: 'customer',
    connection_id: 'conn_1',
    epoch: 'epoch_1',
    seq: 41,
    heartbeat_interval: 30,
    expires_at: '2026-01-28T10:30:00.000Z',
    ...fields,
  };
}

/** An event as it is on the wire. */
export function event(seq, fields = {}) {
  return {
    event_type: 'order_created',
    event_level: 'high',
    event_id: `evt_${seq}`,
    timestamp: '2026-01-27T10:30:00Z',
    user_id: 'user_123',
    data: { order_id: `ord_${seq}` },
    source: 'orders',
    ...(seq === null ? {} : { seq }),
    ...fields,
  };
}

/** What `localStorage` is. */
export class MemoryStorage {
  items = new Map();
  getItem = (key) => this.items.get(key) ?? null;
  setItem = (key, value) => this.items.set(key, value);
}

/** Let what waits for a promise run. */
export async function settled() {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
}
