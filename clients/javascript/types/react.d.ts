/**
 * `@harkara/client/react`: events in React components.
 *
 * Components share one `WebSocketService`, which the application makes once. A type stays subscribed for as long as
 * any component wants it.
 *
 * What does not belong here: a connection's life beyond `connect`; who made the service disconnects it.
 */
export type WebSocketService = import('./service.js').WebSocketService;
export type EventType = import('../types/events.js').EventType;
/**
 * Receive events of these types for as long as the component is there; the first component that does connects.
 *
 * @template {EventType | '*' | (string & {})} Name
 * @param {WebSocketService} service
 * @param {readonly Name[]} types Compared by what it holds: a new array of the same is no change.
 * @param {(event: import('./options.js').DetailOf<Name>) => unknown} [onEvent] Called for each; always the newest one
 *   that was given.
 * @returns {import('./options.js').Status & {lastEvent: import('./options.js').DetailOf<Name> | null}} The service's
 *   status, and the last event of these types that came since the component is there.
 */
export declare function useHarkara<Name extends EventType | '*' | (string & {})>(service: WebSocketService, types: readonly Name[], onEvent?: (event: import('./options.js').DetailOf<Name>) => unknown): import('./options.js').Status & {
    lastEvent: import('./options.js').DetailOf<Name> | null;
};
