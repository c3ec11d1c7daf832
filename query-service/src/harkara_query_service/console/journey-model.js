/**
 * Orders and wallets, out of a user's events. Pure: no page, no clock, no network.
 *
 * Events may come more than once and in any order, from the history and from the live connection: each counts once,
 * by its `event_id`, and what is known of an order is folded again from its events in the order of `seq`. So it does
 * not matter which of the two was faster.
 *
 * What does not belong here: how anything looks, and where it is on the screen.
 */

/** The steps of an order, and the event that says that each was taken. */
export const STEPS = Object.freeze([
  { type: 'order_created', name: 'Ordered' },
  { type: 'payment_completed', name: 'Paid' },
  { type: 'order_confirmed', name: 'Confirmed by the shop' },
  { type: 'order_ready', name: 'Ready' },
  { type: 'delivery_accepted', name: 'Rider found' },
  { type: 'delivery_in_transit', name: 'On the way' },
  { type: 'delivery_arrived', name: 'At your door' },
  { type: 'delivery_completed', name: 'Delivered' },
]);

const OF_ORDERS = [
  ...STEPS.map(({ type }) => type),
  'payment_initiated', 'payment_failed', 'location_updated', 'eta_updated',
];
const OF_WALLETS = ['earning_recorded', 'bonus_earned', 'payout_approved', 'payout_completed', 'wallet_updated'];

/** All that a journey or a wallet is made of. */
export const TYPES = Object.freeze([...OF_ORDERS, ...OF_WALLETS]);

/** @typedef {{latitude: number, longitude: number}} Place */
/** @typedef {{id: string, method: string, amount: number, state: 'under way' | 'paid' | 'failed', at: number,
 *   error: string, mayRetry: boolean}} Payment */

/**
 * What is known of one order.
 *
 * @typedef {object} Order
 * @property {string} id
 * @property {number} beganAt Milliseconds since 1970, as all times here.
 * @property {Map<string, number>} steps When each step was taken, by its event's type.
 * @property {{name: string, quantity: number, price: number}[]} items
 * @property {number | null} total
 * @property {string} address
 * @property {string} shopName
 * @property {Place | null} shop
 * @property {Place | null} home
 * @property {Payment[]} payments The oldest first.
 * @property {{id: string, name: string, rating: number | null, vehicle: string, phone: string} | null} rider
 * @property {Place[]} routeToShop
 * @property {Place[]} routeToHome
 * @property {{place: Place, at: number}[]} positions The rider's, the oldest first.
 * @property {{at: number, minutes: number} | null} eta Null where nobody knows, and after arrival.
 * @property {number | null} kilometresLeft
 * @property {number | null} totalMinutes
 * @property {number | null} rating
 */

/**
 * A rider's money.
 *
 * @typedef {object} Wallet
 * @property {number | null} balance
 * @property {number} earned In the events that are known, like the other sums.
 * @property {number} bonuses
 * @property {number} paidOut
 * @property {{kind: 'earning' | 'bonus' | 'payout', amount: number, at: number, about: string, isPending: boolean}[]}
 *   entries The newest first.
 */

/** All that is known of a user's orders and wallet. */
export class Journeys {
  /** @type {Map<string, any>} */
  #events = new Map();
  /** @type {any[] | null} */
  #sorted = [];

  /**
   * Take events in.
   *
   * @param {Iterable<any>} events As REST or the live connection gives them.
   * @returns {any[]} Those that were new.
   */
  take(events) {
    const fresh = [];
    for (const event of events) {
      const type = event.event_type;
      if (this.#events.has(event.event_id) || !TYPES.includes(type)) continue;
      this.#events.set(event.event_id, event);
      fresh.push(event);
    }
    if (fresh.length) this.#sorted = null;
    return fresh;
  }

  /** The orders whose beginning is known, the newest first. @returns {Order[]} */
  orders() {
    return this.#fold().orders;
  }

  /** @param {string} id @returns {Order | null} */
  order(id) {
    return this.orders().find((order) => order.id === id) ?? null;
  }

  /** @returns {Wallet} */
  wallet() {
    return this.#fold().wallet;
  }

  #fold() {
    this.#sorted ??= [...this.#events.values()].sort((one, other) => (one.seq ?? Infinity) - (other.seq ?? Infinity));
    const orders = new Map();
    const deliveries = new Map();
    for (const event of this.#sorted) {
      if (!OF_ORDERS.includes(event.event_type)) continue;
      const order = orderOf(event, orders, deliveries);
      if (order) apply(order, event);
    }
    return { orders: [...orders.values()].reverse(), wallet: walletOf(this.#sorted) };
  }
}

/**
 * The order that an event is about; null where that cannot be told, as of what came before the history that is known.
 *
 * @param {any} event
 * @param {Map<string, Order>} orders
 * @param {Map<string, string>} deliveries Order ids by delivery id.
 */
function orderOf(event, orders, deliveries) {
  const { order_id: named, delivery_id: deliveryId } = event.data;
  let id = named ?? deliveries.get(deliveryId) ?? null;
  if (event.event_type === 'order_created' && id !== null && !orders.has(id)) {
    const order = newOrder(id, timeOf(event));
    orders.set(id, order);
    return order;
  }
  if (id === null && deliveryId !== undefined) {
    // The catalogue names the order only where a delivery ends: until then it is that of the newest that waits for one.
    const waiting = [...orders.values()].reverse().find((order) => !order.steps.has('delivery_accepted'));
    id = waiting?.id ?? null;
  }
  if (id !== null && deliveryId !== undefined) deliveries.set(deliveryId, id);
  return id === null ? null : orders.get(id) ?? null;
}

/**
 * @param {string} id
 * @param {number} beganAt
 * @returns {Order}
 */
function newOrder(id, beganAt) {
  return {
    id, beganAt, steps: new Map(), items: [], total: null, address: '', shopName: '', shop: null, home: null,
    payments: [], rider: null, routeToShop: [], routeToHome: [], positions: [], eta: null, kilometresLeft: null,
    totalMinutes: null, rating: null,
  };
}

/**
 * @param {Order} order
 * @param {any} event
 */
function apply(order, event) {
  const { data, event_type: type } = event;
  const at = timeOf(event);
  if (STEPS.some((step) => step.type === type) && !order.steps.has(type)) order.steps.set(type, at);
  switch (type) {
    case 'order_created':
      order.items = (data.items ?? []).map((/** @type {any} */ item) => ({
        name: String(item.name ?? ''), quantity: numberOf(item.quantity) ?? 1, price: numberOf(item.price) ?? 0,
      }));
      order.total = numberOf(data.total_with_fee) ?? numberOf(data.total_amount);
      order.address = data.delivery_address ?? '';
      order.shopName = data.shop?.name ?? '';
      order.shop = placeOf(data.shop);
      order.home = placeOf(data.destination);
      break;
    case 'payment_initiated':
    case 'payment_completed':
    case 'payment_failed':
      pay(order, type, data, at);
      break;
    case 'order_confirmed':
      order.shopName = data.shop_name ?? order.shopName;
      break;
    case 'delivery_accepted':
      order.rider = {
        id: data.delivery_boy_id ?? '', name: data.delivery_boy_name ?? '', rating: numberOf(data.delivery_boy_rating),
        vehicle: data.vehicle_type ?? '', phone: '',
      };
      order.routeToShop = lineOf(data.route);
      order.eta = etaOf(data.estimated_delivery_time, data.eta_timestamp, at);
      move(order, data.location, at);
      break;
    case 'delivery_in_transit':
      order.routeToHome = lineOf(data.route);
      order.eta = etaOf(data.eta_minutes, data.eta_timestamp, at);
      order.kilometresLeft = numberOf(data.distance_remaining_km);
      move(order, data.location, at);
      break;
    case 'location_updated':
      move(order, data, at);
      break;
    case 'eta_updated':
      order.eta = etaOf(data.eta_minutes, data.eta_timestamp, at);
      order.kilometresLeft = numberOf(data.distance_remaining_km);
      break;
    case 'delivery_arrived':
      order.eta = null;
      order.kilometresLeft = null;
      if (order.rider) order.rider.phone = data.phone_number ?? '';
      move(order, data.location, at);
      break;
    case 'delivery_completed':
      order.eta = null;
      order.kilometresLeft = null;
      order.totalMinutes = numberOf(data.total_time_minutes);
      order.rating = numberOf(data.delivery_rating);
      break;
  }
}

/**
 * @param {Order} order
 * @param {string} type
 * @param {any} data
 * @param {number} at
 */
function pay(order, type, data, at) {
  let payment = order.payments.find(({ id }) => id === data.payment_id);
  if (!payment) {
    payment = {
      id: data.payment_id ?? '', method: data.method ?? '', amount: numberOf(data.amount) ?? 0, state: 'under way', at,
      error: '', mayRetry: false,
    };
    order.payments.push(payment);
  }
  payment.at = at;
  if (type === 'payment_completed') payment.state = 'paid';
  if (type === 'payment_failed') {
    payment.state = 'failed';
    payment.error = data.error ?? '';
    payment.mayRetry = data.retry_available === true;
  }
}

/**
 * @param {Order} order
 * @param {any} data
 * @param {number} at
 */
function move(order, data, at) {
  const place = placeOf(data);
  if (place) order.positions.push({ place, at });
}

/**
 * @param {any[]} events The oldest first.
 * @returns {Wallet}
 */
function walletOf(events) {
  /** @type {Wallet} */
  const wallet = { balance: null, earned: 0, bonuses: 0, paidOut: 0, entries: [] };
  /** @type {Map<string, Wallet['entries'][number]>} */
  const payouts = new Map();
  for (const event of events) {
    const { data, event_type: type } = event;
    const at = timeOf(event);
    const amount = numberOf(data.amount) ?? 0;
    if (type === 'earning_recorded') {
      wallet.earned += amount;
      wallet.entries.push({ kind: 'earning', amount, at, about: breakdownOf(data.breakdown), isPending: false });
    } else if (type === 'bonus_earned') {
      wallet.bonuses += amount;
      wallet.entries.push({ kind: 'bonus', amount, at, about: data.trigger ?? '', isPending: false });
    } else if (type === 'payout_approved' || type === 'payout_completed') {
      let payout = payouts.get(data.payout_id);
      if (!payout) {
        payout = { kind: 'payout', amount: -amount, at, about: '', isPending: true };
        payouts.set(data.payout_id, payout);
        wallet.entries.push(payout);
      }
      payout.at = at;
      payout.isPending = type === 'payout_approved';
      payout.about = data.bank_account ? `to ${data.bank_account}` : '';
      if (!payout.isPending) wallet.paidOut += amount;
    }
    const balance = numberOf(data.new_balance);
    if (OF_WALLETS.includes(type) && balance !== null) wallet.balance = balance;
  }
  wallet.entries.reverse().sort((one, other) => other.at - one.at);
  return wallet;
}

/** @param {any} breakdown */
function breakdownOf(breakdown) {
  const names = { base: 'base', distance_bonus: 'distance', on_time_bonus: 'on time', rating_bonus: 'rating' };
  return Object.entries(names)
    .map(([key, name]) => [numberOf(breakdown?.[key]) ?? 0, name])
    .filter(([amount]) => amount !== 0)
    .map(([amount, name]) => `₹${amount} ${name}`)
    .join(' + ');
}

/** What an order is at, in a few words; and how it goes: `busy`, `bad` or `good`. @param {Order} order */
export function headlineOf(order) {
  const { steps } = order;
  if (steps.has('delivery_completed')) return { text: 'Delivered', mood: 'good' };
  if (steps.has('delivery_arrived')) return { text: `${firstName(order)} is at your door`, mood: 'good' };
  if (steps.has('delivery_in_transit')) return { text: `${firstName(order)} is on the way to you`, mood: 'busy' };
  if (steps.has('delivery_accepted')) return { text: `${firstName(order)} is fetching your order`, mood: 'busy' };
  if (steps.has('order_ready')) return { text: 'Ready. Looking for a rider', mood: 'busy' };
  if (steps.has('order_confirmed')) return { text: `${order.shopName || 'The shop'} is preparing it`, mood: 'busy' };
  if (steps.has('payment_completed')) return { text: 'Paid. Waiting for the shop', mood: 'busy' };
  const last = order.payments.at(-1);
  if (last?.state === 'failed') {
    return { text: last.mayRetry ? 'Payment failed. You can try again' : 'Not paid, so not ordered', mood: 'bad' };
  }
  return { text: last ? 'Paying' : 'Ordered', mood: 'busy' };
}

/** Whether nothing more will happen to an order. @param {Order} order */
export function isOver(order) {
  const last = order.payments.at(-1);
  const isGivenUp = last?.state === 'failed' && !last.mayRetry && !order.steps.has('payment_completed');
  return order.steps.has('delivery_completed') || isGivenUp;
}

/** @param {Order} order */
function firstName(order) {
  return order.rider?.name.split(' ')[0] || 'The rider';
}

/** @param {any} event */
function timeOf(event) {
  return Date.parse(event.timestamp);
}

/** A number, of which a history may have kept the exact spelling; null for what is none. @param {any} value */
function numberOf(value) {
  const number = value === null || value === undefined || value === '' ? NaN : Number(value);
  return Number.isFinite(number) ? number : null;
}

/** @param {any} data @returns {Place | null} */
function placeOf(data) {
  const latitude = numberOf(data?.latitude);
  const longitude = numberOf(data?.longitude);
  return latitude === null || longitude === null ? null : { latitude, longitude };
}

/** @param {any} points @returns {Place[]} */
function lineOf(points) {
  if (!Array.isArray(points)) return [];
  return points.flatMap((point) => placeOf({ latitude: point?.[0], longitude: point?.[1] }) ?? []);
}

/**
 * When it should be there.
 *
 * @param {any} minutes
 * @param {any} timestamp The moment itself, where it is known.
 * @param {number} at When that was said.
 */
function etaOf(minutes, timestamp, at) {
  const inMinutes = numberOf(minutes);
  const moment = Date.parse(timestamp);
  if (inMinutes === null && Number.isNaN(moment)) return null;
  const then = Number.isNaN(moment) ? at + (inMinutes ?? 0) * 60_000 : moment;
  return { at: then, minutes: inMinutes ?? Math.max(1, Math.ceil((then - at) / 60_000)) };
}
