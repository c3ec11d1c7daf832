// Made from the catalogue of codes; not to be changed by hand.

/** @typedef {"stop" | "back_off" | "reconnect" | "reconnect_spread" | "new_token"} CloseAction */

/**
 * What to do after a close, by the number in its frame.
 *
 * @type {ReadonlyMap<number, CloseAction>}
 */
export const CLOSE_ACTIONS = new Map([
  [1000, "stop"],
  [1002, "stop"],
  [1003, "stop"],
  [1007, "stop"],
  [1009, "stop"],
  [1011, "back_off"],
  [1012, "reconnect_spread"],
  [1013, "back_off"],
  [4400, "stop"],
  [4401, "new_token"],
  [4402, "new_token"],
  [4403, "stop"],
  [4408, "reconnect"],
  [4429, "back_off"],
]);
