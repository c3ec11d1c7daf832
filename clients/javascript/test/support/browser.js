/** What the tabs of one browser share: locks and channels, each doing at once what a browser does soon. */

export function browser() {
  const queues = new Map();
  const channels = new Set();

  const next = (name) => {
    const [first] = queues.get(name) ?? [];
    if (!first || first.isHeld) return;
    first.isHeld = true;
    Promise.resolve(first.callback()).then(() => {
      remove(name, first);
      first.done();
    });
  };

  const remove = (name, one) => {
    queues.set(
      name,
      queues.get(name).filter((other) => other !== one),
    );
    next(name);
  };

  /** Open a tab; `crash` ends it so that it can say nothing. */
  const tab = () => {
    const window = new EventTarget();
    const mine = new Set();

    const locks = {
      request(name, { signal }, callback) {
        return new Promise((resolve, reject) => {
          const one = { name, callback, done: resolve, isHeld: false };
          mine.add(one);
          queues.set(name, [...(queues.get(name) ?? []), one]);
          signal.addEventListener('abort', () => {
            // A lock that is held is given back by its callback's promise alone.
            if (one.isHeld) return;
            remove(name, one);
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
        mine.add(this);
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

    const crash = () => {
      for (const one of mine) {
        channels.delete(one);
        if (queues.get(one.name)?.includes(one)) remove(one.name, one);
      }
    };

    return { platform: { locks, BroadcastChannel: Channel, window }, window, crash };
  };

  /** How many locks are held or waited for. */
  const lockCount = () => [...queues.values()].flat().length;

  return { tab, lockCount };
}
