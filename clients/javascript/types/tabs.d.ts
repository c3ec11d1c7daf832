/**
 * The tabs of a browser that share one connection.
 *
 * One of them leads: it holds a Web Lock, and with it the connection. The others are told over a BroadcastChannel what
 * comes. When the leader goes, for whatever reason, the browser gives the lock to the next one, which goes on from where
 * it was told that the leader stood. Every tab knows what the others want, so a new leader need not ask.
 *
 * A tab says so when it goes; one that crashes cannot. So each tab holds a lock of its own too, from before it says
 * anything, and the leader waits for each of these: it is given one when that tab is no more.
 *
 * What does not belong here: what is told, and what leading means (`sharing.js`).
 */
export type Position = import('./effects.js').Position;
export type TabMessage = {
    kind: 'who';
} | {
    kind: 'types';
    types: string[];
} | {
    kind: 'bye';
} | {
    kind: 'event';
    event: import('../types/events.js').HarkaraEvent;
} | {
    kind: 'told';
    name: string;
    detail: unknown;
} | {
    kind: 'status';
    isConnected: boolean;
    attempts: number;
    position: Position | null;
    connected: Record<string, unknown>;
};
export type TabPlatform = {
    locks: Pick<LockManager, 'request'>;
    BroadcastChannel: typeof globalThis.BroadcastChannel;
    window?: Pick<EventTarget, 'addEventListener' | 'removeEventListener'>;
};
/** @typedef {import('./effects.js').Position} Position */
/**
 * What tabs tell each other.
 *
 * @typedef {{kind: 'who'}
 *   | {kind: 'types', types: string[]}
 *   | {kind: 'bye'}
 *   | {kind: 'event', event: import('../types/events.js').HarkaraEvent}
 *   | {kind: 'told', name: string, detail: unknown}
 *   | {kind: 'status', isConnected: boolean, attempts: number, position: Position | null,
 *      connected: Record<string, unknown>}} TabMessage
 */
/**
 * What a browser has for this.
 *
 * @typedef {object} TabPlatform
 * @property {Pick<LockManager, 'request'>} locks
 * @property {typeof globalThis.BroadcastChannel} BroadcastChannel
 * @property {Pick<EventTarget, 'addEventListener' | 'removeEventListener'>} [window]
 */
/** @returns {TabPlatform | null} Null where a browser, or Node, has not got it. */
export declare function tabPlatform(): TabPlatform | null;
export declare class TabGroup {
    #private;
    /**
     * @param {object} how
     * @param {string} how.name Tabs of the same name are one group.
     * @param {string} how.id Of this tab, unlike any other's.
     * @param {TabPlatform} how.platform
     * @param {() => string[]} how.types Says what this tab wants now.
     * @param {() => void} how.lead Called when this tab is to lead.
     * @param {(message: TabMessage) => void} how.hear Called with what another tab says, or would have said at its end.
     */
    constructor({ name, id, platform, types, lead, hear }: {
        name: string;
        id: string;
        platform: TabPlatform;
        types: () => string[];
        lead: () => void;
        hear: (message: TabMessage) => void;
    });
    get isMember(): boolean;
    get isLeader(): boolean;
    /** What the others want. */
    get othersTypes(): string[];
    /** Become one of the group; lead it as soon as nobody else does. */
    join(): void;
    /** Be one of the group no more. */
    leave(): void;
    /** Tell the others what is wanted here. */
    tellTypes(): void;
    /** @param {TabMessage} message */
    post(message: TabMessage): void;
}
