/**
 * How far this client got in its user's stream, and what it has seen of it.
 *
 * A position, {epoch, seq}, goes with `resume` whenever there is one; so a reconnect has neither a hole nor a repeat, or
 * is told that there is a hole (`gap`). A position of the history alone has no epoch, until a connection tells it.
 *
 * What does not belong here: which events are wanted (`subscription.js`), and where a position is kept
 * (`positions.js`).
 */
export type Effect = import('./effects.js').Effect;
export type Position = import('./effects.js').Position;
export type HarkaraEvent = import('../types/events.js').HarkaraEvent;
/** @typedef {import('./effects.js').Effect} Effect */
/** @typedef {import('./effects.js').Position} Position */
/** @typedef {import('../types/events.js').HarkaraEvent} HarkaraEvent */
export declare class Progress {
    #private;
    /** @type {Position | null} */
    position: Position | null;
    /**
     * @param {Position | null} position How far an earlier session got.
     * @param {number} rememberedIds How many ids of events to remember.
     * @param {(type: string) => boolean} isWanted Whether the application wants events of a type.
     */
    constructor(position: Position | null, rememberedIds: number, isWanted: (type: string) => boolean);
    /**
     * Another's connection, which this client shares, stands there.
     *
     * @param {Position | null} position
     */
    standAt(position: Position | null): void;
    /**
     * Take a connection's epoch for a position of the history alone.
     *
     * @param {string} epoch
     * @returns {boolean} Whether it lacked one; with it, a connection can go on from there.
     */
    takeEpoch(epoch: string): boolean;
    /**
     * Take where a new connection stands.
     *
     * @param {Position} position
     * @param {boolean} recovered Whether it goes on from where this client was.
     * @returns {Effect[]}
     */
    startAt(position: Position, recovered: boolean): Effect[];
    /**
     * Take an event.
     *
     * @param {Record<string, any>} fields
     * @returns {Effect[]}
     */
    event(fields: Record<string, any>): Effect[];
    /**
     * Take that everything up to a number is dealt with.
     *
     * @param {unknown} seq
     * @returns {Effect[]}
     */
    advanced(seq: unknown): Effect[];
    /**
     * Take what was read of the history, in place of a connection.
     *
     * @param {import('./polling.js').Polled} polled
     * @param {number | null} after From where; null where only its end was asked for.
     * @returns {Effect[]}
     */
    polled({ events, seq, complete }: import('./polling.js').Polled, after: number | null): Effect[];
}
/**
 * @param {unknown} value
 * @returns {value is number} Whether it can be an event's number: JSON may hold `1e999`, which is no position.
 */
export declare function isSeq(value: unknown): value is number;
