/**
 * When it is worth to look after the connection at once: the network came back or is another one, a page is seen again,
 * or was kept by the browser and is shown again. Timers do not run, or run late, while a machine sleeps or a page is
 * hidden.
 *
 * Outside of a page there are no such events, and nothing is watched.
 */

/**
 * @typedef {object} Page
 * @property {Pick<EventTarget, 'addEventListener' | 'removeEventListener'>} [window]
 * @property {Pick<Document, 'addEventListener' | 'removeEventListener' | 'visibilityState'>} [document]
 * @property {Pick<EventTarget, 'addEventListener' | 'removeEventListener'>} [connection] `navigator.connection`, which
 *   not every browser has. Its `change` comes in storms, and for other reasons too.
 */

/**
 * Watch.
 *
 * @param {Page} page
 * @param {() => void} wake
 * @returns {() => void} Ends the watch.
 */
export function watchWakeups({ window, document, connection }, wake) {
  const seen = () => {
    if (document?.visibilityState === 'visible') wake();
  };
  window?.addEventListener('online', wake);
  window?.addEventListener('pageshow', wake);
  document?.addEventListener('visibilitychange', seen);
  connection?.addEventListener('change', wake);
  return () => {
    window?.removeEventListener('online', wake);
    window?.removeEventListener('pageshow', wake);
    document?.removeEventListener('visibilitychange', seen);
    connection?.removeEventListener('change', wake);
  };
}
