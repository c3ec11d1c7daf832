/**
 * What an application may say to `WebSocketService`, and what it is told: types, and no code.
 */
export type ServiceOptions = {
    /**
     * The role that the token must have.
     */
    userRole?: string;
    /**
     * A name of this device, 1 to 64 characters of `A-Za-z0-9_-`: the server then remembers
     * how far it got, for when this client does not.
     */
    deviceId?: string;
    /**
     * Where to keep how far this client got, such as
     * `localStorage`, so that it goes on there when the page is loaded again. Needs a user id. Kept in memory only
     * without it.
     */
    storage?: import('./positions.js').KeyValueStorage;
    /**
     * The class to use, where there is none or another is wanted.
     */
    WebSocket?: typeof WebSocket;
    /**
     * Read the history over REST while no connection can be had. Needs a user id.
     */
    polling?: PollingOptions;
    /**
     * Share one connection with the other tabs of this browser that say so too, for the
     * same user and address. Needs a user id. Each has its own where the browser cannot.
     */
    shareTabs?: boolean;
    /**
     * After how many failures in a row `connection_failed` is told, 5 if absent. The
     * client goes on trying.
     */
    failuresUntilTold?: number;
    /**
     * How many ids of events to remember, to skip what comes twice; 2,000 if absent.
     */
    rememberedIds?: number;
    /**
     * For tests.
     */
    clock?: import('./clock.js').Clock;
    /**
     * For tests: a number from 0 to under 1.
     */
    random?: () => number;
    /**
     * For tests.
     */
    tabPlatform?: import('./tabs.js').TabPlatform;
};
export type PollingOptions = {
    /**
     * Where REST is: `https://server`, without a path.
     */
    url: string;
    /**
     * After how many failures in a row it begins, 3 if absent. It ends with a connection.
     */
    afterFailures?: number;
    /**
     * Between two readings, on average; 5,000 if absent.
     */
    intervalMs?: number;
    /**
     * The function to use, where another is wanted.
     */
    fetch?: typeof globalThis.fetch;
};
export type Status = {
    isConnected: boolean;
    /**
     * What was asked for, in that order, whether or not the server knows by now.
     */
    subscriptions: string[];
    /**
     * How many messages wait for a connection.
     */
    queuedMessages: number;
    /**
     * How many attempts there were since the last connection.
     */
    reconnectAttempts: number;
};
export type LifecycleDetails = {
    connected: {
        user_id: string;
        user_role: string;
        connection_id: string;
        epoch: string;
        seq: number;
        expires_at: string;
        recovered: boolean;
    };
    disconnected: {
        code: number;
        reason: string;
        willReconnect: boolean;
    };
    /**
     * `delay` in milliseconds.
     */
    reconnecting: {
        attempt: number;
        delay: number;
    };
    connection_failed: import('./effects.js').ConnectionFailure;
    gap: {
        before: import('./effects.js').Position;
        after: import('./effects.js').Position;
    };
    error: {
        code: string;
        message?: string;
        events?: string[];
    };
    subscription_updated: {
        subscribed_events: string[];
    };
    token_expiring: {
        expires_at: string;
    };
    polling: {
        active: boolean;
    };
};
export type Name = import('../types/events.js').EventType | keyof LifecycleDetails | '*' | (string & {});
export type DetailOf<Name extends string> = Name extends import('../types/events.js').EventType ? import('../types/events.js').EventOf<Name, import('../types/events.js').EventDataByType[Name]> : Name extends keyof LifecycleDetails ? LifecycleDetails[Name] : Name extends '*' ? import('../types/events.js').HarkaraEvent : any;
/**
 * What else may be said. All of it is optional.
 *
 * @typedef {object} ServiceOptions
 * @property {string} [userRole] The role that the token must have.
 * @property {string} [deviceId] A name of this device, 1 to 64 characters of `A-Za-z0-9_-`: the server then remembers
 *   how far it got, for when this client does not.
 * @property {import('./positions.js').KeyValueStorage} [storage] Where to keep how far this client got, such as
 *   `localStorage`, so that it goes on there when the page is loaded again. Needs a user id. Kept in memory only
 *   without it.
 * @property {typeof WebSocket} [WebSocket] The class to use, where there is none or another is wanted.
 * @property {PollingOptions} [polling] Read the history over REST while no connection can be had. Needs a user id.
 * @property {boolean} [shareTabs] Share one connection with the other tabs of this browser that say so too, for the
 *   same user and address. Needs a user id. Each has its own where the browser cannot.
 * @property {number} [failuresUntilTold] After how many failures in a row `connection_failed` is told, 5 if absent. The
 *   client goes on trying.
 * @property {number} [rememberedIds] How many ids of events to remember, to skip what comes twice; 2,000 if absent.
 * @property {import('./clock.js').Clock} [clock] For tests.
 * @property {() => number} [random] For tests: a number from 0 to under 1.
 * @property {import('./tabs.js').TabPlatform} [tabPlatform] For tests.
 */
/**
 * @typedef {object} PollingOptions
 * @property {string} url Where REST is: `https://server`, without a path.
 * @property {number} [afterFailures] After how many failures in a row it begins, 3 if absent. It ends with a connection.
 * @property {number} [intervalMs] Between two readings, on average; 5,000 if absent.
 * @property {typeof globalThis.fetch} [fetch] The function to use, where another is wanted.
 */
/**
 * @typedef {object} Status
 * @property {boolean} isConnected
 * @property {string[]} subscriptions What was asked for, in that order, whether or not the server knows by now.
 * @property {number} queuedMessages How many messages wait for a connection.
 * @property {number} reconnectAttempts How many attempts there were since the last connection.
 */
/**
 * What is told beside events, and with it.
 *
 * @typedef {object} LifecycleDetails
 * @property {{user_id: string, user_role: string, connection_id: string, epoch: string, seq: number,
 *   expires_at: string, recovered: boolean}} connected
 * @property {{code: number, reason: string, willReconnect: boolean}} disconnected
 * @property {{attempt: number, delay: number}} reconnecting `delay` in milliseconds.
 * @property {import('./effects.js').ConnectionFailure} connection_failed
 * @property {{before: import('./effects.js').Position, after: import('./effects.js').Position}} gap
 * @property {{code: string, message?: string, events?: string[]}} error
 * @property {{subscribed_events: string[]}} subscription_updated
 * @property {{expires_at: string}} token_expiring
 * @property {{active: boolean}} polling
 */
/** @typedef {import('../types/events.js').EventType | keyof LifecycleDetails | '*' | (string & {})} Name */
/**
 * What a handler of a name is called with.
 *
 * @template {string} Name
 * @typedef {Name extends import('../types/events.js').EventType
 *   ? import('../types/events.js').EventOf<Name, import('../types/events.js').EventDataByType[Name]>
 *   : Name extends keyof LifecycleDetails ? LifecycleDetails[Name]
 *   : Name extends '*' ? import('../types/events.js').HarkaraEvent : any} DetailOf
 */
export {};
