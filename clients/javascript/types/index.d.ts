/**
 * `@harkara/client`: receive a user's Harkara events in a browser or in Node. What applications use is named here.
 */
export { CLOSE_ACTIONS } from './close_codes.js';
export { ConnectionError } from './errors.js';
export { WebSocketService } from './service.js';
export type HarkaraEvent = import('../types/events.js').HarkaraEvent;
export type EventType = import('../types/events.js').EventType;
export type EventLevel = import('../types/events.js').EventLevel;
export type EventDataByType = import('../types/events.js').EventDataByType;
export type ServiceOptions = import('./options.js').ServiceOptions;
export type Status = import('./options.js').Status;
export type Position = import('./effects.js').Position;
export type TokenProvider = import('./tokens.js').TokenProvider;
/** @typedef {import('../types/events.js').HarkaraEvent} HarkaraEvent */
/** @typedef {import('../types/events.js').EventType} EventType */
/** @typedef {import('../types/events.js').EventLevel} EventLevel */
/** @typedef {import('../types/events.js').EventDataByType} EventDataByType */
/** @typedef {import('./options.js').ServiceOptions} ServiceOptions */
/** @typedef {import('./options.js').Status} Status */
/** @typedef {import('./effects.js').Position} Position */
/** @typedef {import('./tokens.js').TokenProvider} TokenProvider */
