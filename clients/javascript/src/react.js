/**
 * `@harkara/client/react`: events in React components.
 *
 * Components share one `WebSocketService`, which the application makes once. A type stays subscribed for as long as
 * any component wants it.
 *
 * What does not belong here: a connection's life beyond `connect`; who made the service disconnects it.
 */

import { useEffect, useRef, useState } from 'react';

/** @typedef {import('./service.js').WebSocketService} WebSocketService */
/** @typedef {import('../types/events.js').EventType} EventType */

/**
 * How many components want each type of a service.
 *
 * @type {WeakMap<WebSocketService, Map<string, number>>}
 */
const wanted = new WeakMap();

/** After which of these the status may be another one. */
const CHANGES = /** @type {const} */ ([
  'connected',
  'disconnected',
  'reconnecting',
  'connection_failed',
  'subscription_updated',
]);

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
export function useHarkara(service, types, onEvent) {
  const [status, setStatus] = useState(() => service.getStatus());
  const [lastEvent, setLastEvent] = useState(
    /** @type {import('./options.js').DetailOf<Name> | null} */ (null),
  );
  const newestHandler = useRef(onEvent);
  useEffect(() => {
    newestHandler.current = onEvent;
  });
  const key = JSON.stringify(types);

  useEffect(() => {
    const refresh = () => setStatus(service.getStatus());
    for (const change of CHANGES) service.on(change, refresh);
    service.connect();
    refresh();
    return () => {
      for (const change of CHANGES) service.off(change, refresh);
    };
  }, [service]);

  useEffect(() => {
    const names = /** @type {Name[]} */ ([...new Set(JSON.parse(key))]);
    /** @param {any} event */
    const handle = (event) => {
      setLastEvent(event);
      newestHandler.current?.(event);
    };
    // An event of a named type is told to `*` too: once is enough.
    const listened = names.includes(/** @type {Name} */ ('*')) ? ['*'] : names;
    for (const name of listened) service.on(name, handle);
    hold(service, names);
    setStatus(service.getStatus());
    return () => {
      for (const name of listened) service.off(name, handle);
      release(service, names);
    };
  }, [service, key]);

  return { ...status, lastEvent };
}

/**
 * Want these once more.
 *
 * @param {WebSocketService} service
 * @param {readonly string[]} types
 */
function hold(service, types) {
  const counts = wanted.get(service) ?? new Map();
  wanted.set(service, counts);
  for (const type of types) counts.set(type, (counts.get(type) ?? 0) + 1);
  service.subscribe(types);
}

/**
 * Want these once less; unsubscribe from what nobody wants.
 *
 * @param {WebSocketService} service
 * @param {readonly string[]} types
 */
function release(service, types) {
  const counts = wanted.get(service) ?? new Map();
  const gone = types.filter((type) => {
    const count = (counts.get(type) ?? 0) - 1;
    if (count > 0) counts.set(type, count);
    else counts.delete(type);
    return count <= 0;
  });
  if (gone.length > 0) service.unsubscribe(gone);
}
