export type CloseAction = "stop" | "back_off" | "reconnect" | "reconnect_spread" | "new_token";
/** @typedef {"stop" | "back_off" | "reconnect" | "reconnect_spread" | "new_token"} CloseAction */
/**
 * What to do after a close, by the number in its frame.
 *
 * @type {ReadonlyMap<number, CloseAction>}
 */
export declare const CLOSE_ACTIONS: ReadonlyMap<number, CloseAction>;
