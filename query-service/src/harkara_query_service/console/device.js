/**
 * The name by which the server knows this browser: what its pages acknowledge stands in an event's delivery trail.
 *
 * One name for all tabs and all pages, since a browser is what people take for a device, and the server remembers 20
 * devices of a user: a name for each tab would soon push the phone of that user out. That tabs share one place costs
 * nothing: the larger number counts, a tab that comes back resumes by the number that it has itself, and one that opens
 * reads the history, whatever place its device has.
 */

const KEY = 'harkara.device';
const DEVICE_ID = /^[A-Za-z0-9_-]{1,64}$/;

/**
 * This browser's name, made at its first visit.
 *
 * @param {Pick<Storage, 'getItem' | 'setItem'>} storage
 * @returns {string} 1 to 64 of `A-Za-z0-9_-`.
 */
export function deviceIn(storage) {
  try {
    const kept = storage.getItem(KEY);
    if (kept !== null && DEVICE_ID.test(kept)) return kept;
  } catch {
    // A browser that keeps nothing: a name for as long as this page is open.
  }
  // Not randomUUID, which only secure pages have.
  const bytes = [...crypto.getRandomValues(new Uint8Array(8))];
  const id = `browser-${bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('')}`;
  try {
    storage.setItem(KEY, id);
  } catch {
    // As above.
  }
  return id;
}

/** @type {string | null} */
let known = null;

/** This browser's name. */
export function deviceId() {
  known ??= deviceIn({
    // Where storing is forbidden, the mere mention of localStorage throws.
    getItem: (key) => localStorage.getItem(key),
    setItem: (key, value) => localStorage.setItem(key, value),
  });
  return known;
}
