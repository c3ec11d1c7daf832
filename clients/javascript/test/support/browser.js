/** What the tabs of one browser share: locks and channels, each doing at once what a browser does soon. */

export function browser() {
  const queues = new Map();
  const channels = new Set();

  const next = (name) => {
    const [first] = queues.get(name) ?? [];
    if (!first || first.isHeld) return;
    first.isHeld = true;
    Promise.resolve(first.callback()).then(() => {
      queues.set(
        name,
        queues.get(name).filter((one) => one !== first),
      );
      first.done();
      next(name);
    });
  };

  const locks = {
    request(name, { signal }, callback) {
      return new Promise((resolve, reject) => {
        const one = { callback, done: resolve, isHeld: false };
        queues.set(name, [...(queues.get(name) ?? []), one]);
        signal.addEventListener('abort', () => {
          queues.set(
            name,
            queues.get(name).filter((other) => other !== one),
          );
          reject(signal.reason);
        });
        next(name);
      });
    },
  };

  class Channel extends EventTarget {
    constructor(name) {
      super();
      this.name = name;
      channels.add(this);
    }

    postMessage(message) {
      const data = structuredClone(message);
      for (const other of [...channels]) {
        if (other === this || other.name !== this.name) continue;
        other.dispatchEvent(Object.assign(new Event('message'), { data }));
      }
    }

    close() {
      channels.delete(this);
    }
  }

  return { platform: { locks, BroadcastChannel: Channel } };
}
