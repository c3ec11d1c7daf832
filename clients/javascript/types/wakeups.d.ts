/**
 * When it is worth to look after the connection at once: the network came back, a page is seen again, or was kept by
 * the browser and is shown again. Timers do not run, or run late, while a machine sleeps or a page is hidden.
 *
 * Outside of a page there are no such events, and nothing is watched.
 */
export type Page = {
    window?: Pick<EventTarget, 'addEventListener' | 'removeEventListener'>;
    document?: Pick<Document, 'addEventListener' | 'removeEventListener' | 'visibilityState'>;
};
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
export declare function watchWakeups(page: Page, wake: () => void): () => void;
