/**
 * When it is worth to look after the connection at once: the network came back or is another one, a page is seen again,
 * or was kept by the browser and is shown again. Timers do not run, or run late, while a machine sleeps or a page is
 * hidden.
 *
 * Outside of a page there are no such events, and nothing is watched.
 */
export type Page = {
    window?: Pick<EventTarget, 'addEventListener' | 'removeEventListener'>;
    document?: Pick<Document, 'addEventListener' | 'removeEventListener' | 'visibilityState'>;
    /**
     * `navigator.connection`, which
     * not every browser has. Its `change` comes in storms, and for other reasons too.
     */
    connection?: Pick<EventTarget, 'addEventListener' | 'removeEventListener'>;
};
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
export declare function watchWakeups({ window, document, connection }: Page, wake: () => void): () => void;
