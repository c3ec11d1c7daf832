/**
 * When it is worth to look after the connection at once: the network came back, a page is seen again, or was kept by
 * the browser and is shown again. Timers do not run, or run late, while a machine sleeps or a page is hidden.
 *
 * Outside of a page there are no such events, and nothing is watched.
 */

/**
 * @typedef {object} Page
 * @property {Pick<EventTarget, 'addEventListener' | 'removeEventListener'>} [window]
 * @property {Pick<Document, 'addEventListener' | 'removeEventListener' | 'visibilityState'>} [document]
 */

/**
 * Watch.
 *
 * @param {Page} page
 * @param {() => void} wake
 * @returns {() => void} Ends the watch.
 */
export function watchWakeups(page, wake) {
  const seen = () => {
    if (page.document?.visibilityState === 'visible') wake();
  };
  page.window?.addEventListener('online', wake);
  page.window?.addEventListener('pageshow', wake);
  page.document?.addEventListener('visibilitychange', seen);
  return () => {
    page.window?.removeEventListener('online', wake);
    page.window?.removeEventListener('pageshow', wake);
    page.document?.removeEventListener('visibilitychange', seen);
  };
}
