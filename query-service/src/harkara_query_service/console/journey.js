/**
 * The page of one order, as its customer sees it; for a rider, their wallet.
 *
 * It shows the order that `?order=` names, or else the newest, and then the one after it. What happened is read over
 * REST, and what happens comes over the live connection. The history is read once more when the connection is
 * subscribed, so nothing falls between the two; after a loss the client goes on where it was, and where it cannot, it is
 * read again. A connection begins where this browser last acknowledged: what the history had by then is left out, or the
 * page would play old orders again.
 *
 * What does not belong here: what events mean (`journey-model.js`), and the map (`journey-map.js`).
 */

import { WebSocketService } from '/client/index.js';

import { deviceId } from './device.js';
import { fill, h } from './dom.js';
import { clockText } from './format.js';
import { JourneyMap } from './journey-map.js';
import { headlineOf, isOver, Journeys, STEPS, TYPES } from './journey-model.js';
import { signInPage } from './page_sign_in.js';
import { ApiError, openSession, splitFragment } from './session.js';

const PAGE = 100;
const MOST_PAGES = 10;
// An order has some thirty events: from so far behind its beginning its history is read.
const EVENTS_AFTER_BEGINNING = 300;
const RETRY_MS = 3_000;

const main = /** @type {HTMLElement} */ (document.getElementById('main'));
const connection = /** @type {HTMLElement} */ (document.getElementById('connection'));
const announcer = /** @type {HTMLElement} */ (document.getElementById('announcer'));
const session = openSession();
const rupees = new Intl.NumberFormat('en-IN', { style: 'currency', currency: 'INR', trailingZeroDisplay: 'stripIfInteger' });

class JourneyPage {
  #journeys = new Journeys();
  #wanted = new URLSearchParams(location.search).get('order');
  /** @type {string | null} */
  #shown = null;
  #isLoaded = false;
  /** Up to which `seq` the history was read. */
  #readTo = 0;
  /** @type {unknown} */
  #failure = null;
  #isReading = false;
  #readAgain = false;
  /** @type {number | undefined} */
  #timer;
  #said = '';
  /** @type {JourneyMap | null} */
  #map = null;
  #parts = makeParts((id) => this.#follow(id));
  #isRider = session.claims?.user_role === 'delivery_boy';

  async start() {
    fill(main, this.#parts.notices, this.#parts.empty, this.#parts.order, this.#parts.wallet);
    this.#draw();
    this.#listen();
    setInterval(() => this.#drawEta(), 1_000);
    await Promise.all([this.#loadMap(), this.#read()]);
  }

  async #loadMap() {
    try {
      const answer = await fetch('/streets.json');
      if (!answer.ok) throw new Error(String(answer.status));
      this.#map = new JourneyMap(this.#parts.map, await answer.json());
    } catch {
      fill(this.#parts.mapNote, 'The map could not be loaded; the rest of this page works without it.');
    }
    this.#draw();
  }

  #listen() {
    const service = new WebSocketService(null, session.token, session.userId, { deviceId: deviceId() });
    const state = (/** @type {string} */ kind, /** @type {string} */ text) => {
      connection.className = `state ${kind}`;
      if (connection.textContent !== text) fill(connection, text);
    };
    service.on('connected', () => state('good', 'Live'));
    service.on('disconnected', ({ willReconnect }) => willReconnect && state('busy', 'Connection lost'));
    service.on('reconnecting', () => state('busy', 'Reconnecting. What happens meanwhile will follow'));
    service.on('connection_failed', ({ final }) => {
      state('bad', final ? 'Not connected' : 'No connection. Still trying');
    });
    // With a device the subscription goes along with `auth`: from here on everything comes.
    const subscribed = () => {
      service.off('connected', subscribed);
      this.#read();
    };
    service.on('connected', subscribed);
    service.on('gap', ({ before, after }) => {
      if (before.epoch !== after.epoch) this.#readTo = 0;
      this.#read();
    });
    service.on('*', (event) => this.#hear(event));
    service.subscribe([...TYPES]);
    service.connect().catch((/** @type {any} */ error) => {
      if (error.final && [4401, 4402, 4403].includes(error.code)) signIn('This token is not good any more.');
    });
  }

  /** Read the history; while that is under way, once more after it. */
  async #read() {
    clearTimeout(this.#timer);
    if (this.#isReading) {
      this.#readAgain = true;
      return;
    }
    this.#isReading = true;
    try {
      await this.#readAll();
      this.#failure = null;
      this.#isLoaded = true;
    } catch (error) {
      if (error instanceof ApiError && error.kind === 'unauthenticated') {
        signIn('This token is not good any more.');
        return;
      }
      this.#failure = error;
      this.#timer = setTimeout(() => this.#read(), RETRY_MS);
    } finally {
      this.#isReading = false;
    }
    this.#draw();
    if (this.#readAgain) {
      this.#readAgain = false;
      await this.#read();
    }
  }

  async #readAll() {
    const begun = await this.#page({ event_type: 'order_created' });
    const wanted = begun.find((event) => event.data.order_id === this.#wanted) ?? begun[0];
    const isNewest = wanted === begun[0];
    // A wallet has no beginning: some hundred events of it.
    const until = wanted ? wanted.seq : 0;
    let before = wanted && !isNewest ? wanted.seq + EVENTS_AFTER_BEGINNING : null;
    let events = [...begun];
    let newest = 0;
    for (let page = 0; page < (wanted ? MOST_PAGES : 3); page += 1) {
      const read = await this.#page({ before_seq: before });
      events = events.concat(read);
      newest = Math.max(newest, read[0]?.seq ?? 0);
      before = read.at(-1)?.seq ?? null;
      if (read.length < PAGE || before === null || before <= until) break;
    }
    this.#journeys.take(events);
    // Beginnings may lie beyond it, and between them what was not read.
    this.#readTo = Math.max(this.#readTo, newest);
  }

  /** @param {Record<string, string | number | null>} parameters @returns {Promise<any[]>} */
  async #page(parameters) {
    const path = `/api/websocket/events/user/${encodeURIComponent(session.userId)}`;
    return (await session.get(path, { limit: PAGE, ...parameters })).data;
  }

  /** @param {any} event It happens now, unless the history has it. */
  #hear(event) {
    if (event.seq <= this.#readTo || this.#journeys.take([event]).length === 0) return;
    this.#draw(true);
  }

  /** Show this order, or the newest and those after it. @param {string | null} id */
  #follow(id) {
    this.#wanted = id;
    const url = new URL(location.href);
    if (id === null) url.searchParams.delete('order');
    else url.searchParams.set('order', id);
    history.replaceState(null, '', url);
    this.#shown = null;
    this.#read();
    this.#draw();
  }

  /** The order to show: the wanted one; else the newest, but not before the one that is shown has ended. */
  #order() {
    if (this.#wanted !== null) return this.#journeys.order(this.#wanted);
    const newest = this.#journeys.orders()[0] ?? null;
    const shown = this.#shown === null ? null : this.#journeys.order(this.#shown);
    return shown && !isOver(shown) ? shown : newest;
  }

  #draw(live = false) {
    // Until the history is there, what was heard may be long ago.
    const isKnown = this.#isLoaded || this.#failure !== null;
    const order = isKnown ? this.#order() : null;
    this.#shown = order?.id ?? null;
    const wallet = isKnown ? this.#journeys.wallet() : null;
    const hasWallet = wallet !== null && wallet.entries.length > 0;
    this.#drawNotices(order);
    this.#drawEmpty(order, hasWallet);
    this.#parts.order.hidden = order === null;
    this.#parts.wallet.hidden = !hasWallet;
    if (hasWallet) drawWallet(this.#parts, wallet);
    if (order) this.#drawOrder(order, live);
    document.title = `${order ? headlineOf(order).text : this.#isRider ? 'Your wallet' : 'Your order'} · Harkara`;
  }

  /** @param {import('./journey-model.js').Order | null} order */
  #drawNotices(order) {
    const notices = [];
    if (this.#failure) {
      const message = this.#failure instanceof Error ? this.#failure.message : String(this.#failure);
      notices.push(h('div', { class: 'notice warn', role: 'alert' },
        h('p', {}, h('strong', {}, 'The history cannot be read now'), `${message} Trying again by itself.`)));
    }
    const newest = this.#journeys.orders()[0];
    if (order && newest && newest.id !== order.id && this.#wanted !== null) {
      notices.push(h('div', { class: 'notice info' },
        h('p', {}, `${isOver(newest) ? 'There is a newer order' : 'A newer order is under way'}: ${summaryOf(newest)}`),
        h('button', { class: 'button slim', type: 'button', onclick: () => this.#follow(null) }, 'Follow the newest')));
    }
    // What stays as it is keeps the focus.
    const key = notices.map((notice) => notice.textContent).join('|');
    if (this.#parts.notices.dataset.key !== key) {
      this.#parts.notices.dataset.key = key;
      fill(this.#parts.notices, notices);
    }
  }

  /**
   * @param {import('./journey-model.js').Order | null} order
   * @param {boolean} hasWallet
   */
  #drawEmpty(order, hasWallet) {
    const { empty } = this.#parts;
    empty.hidden = order !== null || hasWallet;
    if (empty.hidden) return;
    const kind = !this.#isLoaded ? 'loading' : this.#wanted !== null ? 'unknown' : 'none';
    if (empty.dataset.kind === kind) return;
    empty.dataset.kind = kind;
    const { userId } = session;
    if (kind === 'loading') fill(empty, h('div', { class: 'empty' }, h('strong', {}, 'Looking for your order…')));
    else if (kind === 'unknown') {
      fill(empty, h('div', { class: 'empty' },
        h('strong', {}, `No order ${this.#wanted} of ${userId} so far`),
        h('span', {}, 'It appears here as soon as it is placed.'),
        h('button', { class: 'button', type: 'button', onclick: () => this.#follow(null) },
          'Follow the newest order')));
    } else if (this.#isRider) {
      fill(empty, h('div', { class: 'empty' },
        h('strong', {}, `Nothing in the wallet of ${userId} yet`),
        h('span', {}, 'Earnings appear here when a delivery is completed.')));
    } else {
      fill(empty, h('div', { class: 'empty' },
        h('strong', {}, `${userId} has not ordered anything yet`),
        h('span', {}, 'The next order appears here by itself. On a machine that runs ', h('code', {}, './harkara up'),
          ' a city full of orders is started with ', h('code', {}, './harkara demo'), '.')));
    }
  }

  /**
   * @param {import('./journey-model.js').Order} order
   * @param {boolean} live
   */
  #drawOrder(order, live) {
    const parts = this.#parts;
    const { text, mood } = headlineOf(order);
    if (parts.headline.textContent !== text) fill(parts.headline, text);
    parts.status.className = `card status ${mood}`;
    fill(parts.sub, order.shopName ? `${order.shopName} · ` : '', `ordered at ${clockText(order.beganAt)}`);
    drawSteps(parts.steps, order);
    drawPayments(parts.payments, order);
    drawFacts(parts, order);
    drawPicker(parts.picker, this.#journeys.orders(), order.id);
    this.#drawEta();
    const reduced = matchMedia('(prefers-reduced-motion: reduce)').matches;
    this.#map?.show(order, { moves: live && !reduced && !document.hidden });
    parts.map.setAttribute('aria-label', `Map: ${text}`);
    if (live && this.#said !== text) announcer.textContent = text;
    this.#said = text;
  }

  #drawEta() {
    const order = this.#shown === null ? null : this.#journeys.order(this.#shown);
    const { eta, etaLabel, distance } = this.#parts;
    const isKnown = Boolean(order?.eta);
    eta.hidden = !isKnown;
    etaLabel.hidden = !isKnown;
    distance.hidden = !order || order.kilometresLeft === null;
    if (!order) return;
    if (order.kilometresLeft !== null) fill(distance, `${order.kilometresLeft.toFixed(1)} km to go`);
    if (!order.eta) return;
    const left = Math.round((order.eta.at - Date.now()) / 1_000);
    fill(eta, left <= 0 ? 'Any moment' : `${Math.floor(left / 60)}:${String(left % 60).padStart(2, '0')}`);
    fill(etaLabel, left <= 0 ? 'later than estimated' : `arrives at about ${clockText(order.eta.at)}`);
  }
}

/**
 * The parts of the page that are filled again and again.
 *
 * @param {(id: string) => void} follow Told which order was picked.
 */
function makeParts(follow) {
  const parts = {
    notices: h('div', { class: 'notices' }),
    empty: h('section', { class: 'card' }),
    headline: h('h1', { tabIndex: -1 }),
    sub: h('p', { class: 'muted' }),
    eta: h('span', { class: 'eta', role: 'timer' }),
    etaLabel: h('span', { class: 'muted small' }),
    distance: h('span', { class: 'muted small' }),
    steps: h('ol', { class: 'steps' }),
    payments: h('ul', { class: 'payments' }),
    rider: h('p', { class: 'rider' }),
    items: h('ul', { class: 'items' }),
    address: h('p', { class: 'muted small' }),
    picker: h('select', { id: 'picker' }),
    map: /** @type {SVGSVGElement} */ (document.createElementNS('http://www.w3.org/2000/svg', 'svg')),
    mapNote: h('p', { class: 'map-note muted small' }),
    balance: h('p', { class: 'value' }),
    sums: h('dl', { class: 'sums' }),
    entries: h('ul', { class: 'entries' }),
    status: h('section', {}),
    order: h('div', { class: 'journey-grid' }),
    wallet: h('section', { class: 'card wallet' }),
  };
  parts.map.setAttribute('class', 'map');
  parts.map.setAttribute('role', 'img');
  parts.picker.addEventListener('change', () => follow(parts.picker.value));
  fill(parts.status,
    h('div', {}, parts.headline, parts.sub, parts.rider),
    h('div', { class: 'eta-box' }, parts.eta, parts.etaLabel, parts.distance));
  fill(parts.order,
    parts.status,
    h('section', { class: 'card map-card', 'aria-label': 'Map' }, parts.map, parts.mapNote,
      h('p', { class: 'map-note muted small' },
        'Connaught Place, New Delhi. Streets © OpenStreetMap contributors, ODbL.')),
    h('div', { class: 'aside' },
      h('section', { class: 'card' }, h('h2', {}, 'Steps'), parts.steps),
      h('section', { class: 'card' }, h('h2', {}, 'Payment'), parts.payments),
      h('section', { class: 'card' }, h('h2', {}, 'Order'), parts.items, parts.address,
        h('div', { class: 'field picker' }, h('label', { for: 'picker' }, 'Show'), parts.picker))));
  fill(parts.wallet,
    h('h1', {}, 'Your wallet'),
    h('p', { class: 'muted' }, 'Balance'), parts.balance, parts.sums, h('h2', {}, 'What changed it'), parts.entries);
  return parts;
}

/**
 * @param {HTMLElement} list
 * @param {import('./journey-model.js').Order} order
 */
function drawSteps(list, order) {
  const current = STEPS.findIndex(({ type }) => !order.steps.has(type));
  const isStuck = isOver(order) && !order.steps.has('delivery_completed');
  fill(list, STEPS.map(({ type, name }, index) => {
    const at = order.steps.get(type);
    const state = at !== undefined ? 'done' : index === current && !isStuck ? 'now' : 'ahead';
    const spoken = { done: ', done', now: ', next', ahead: ', not yet' }[state];
    return h('li', { class: state, 'aria-current': state === 'now' ? 'step' : null },
      h('span', {}, name, h('span', { class: 'visually-hidden' }, spoken)),
      at === undefined ? null : timeOf(at));
  }));
}

/**
 * @param {HTMLElement} list
 * @param {import('./journey-model.js').Order} order
 */
function drawPayments(list, order) {
  const methods = /** @type {Record<string, string>} */ ({ upi: 'UPI', card: 'Card', netbanking: 'Netbanking' });
  const moods = { 'under way': 'busy', paid: 'good', failed: 'bad' };
  const rows = order.payments.map((payment, index) => h('li', {},
    h('span', { class: `state ${moods[payment.state]}` },
      payment.state === 'failed' ? `Failed: ${payment.error || 'no reason given'}`
        : payment.state === 'paid' ? 'Paid' : index > 0 ? 'Trying again' : 'Under way'),
    h('span', { class: 'muted small' },
      `${rupees.format(payment.amount)} by ${methods[payment.method] ?? payment.method} · ${clockText(payment.at)}`)));
  const last = order.payments.at(-1);
  if (last?.state === 'failed') {
    rows.push(h('li', { class: 'muted small' }, last.mayRetry ? 'It can be tried again.' : 'It is not tried again.'));
  }
  fill(list, rows.length ? rows : h('li', { class: 'muted' }, 'Not yet'));
}

/**
 * @param {ReturnType<typeof makeParts>} parts
 * @param {import('./journey-model.js').Order} order
 */
function drawFacts(parts, order) {
  const { rider } = order;
  parts.rider.hidden = rider === null;
  if (rider) {
    const about = [rider.rating === null ? '' : `★ ${rider.rating.toFixed(1)}`, rider.vehicle, rider.phone];
    fill(parts.rider, h('strong', {}, rider.name), ` ${about.filter(Boolean).join(' · ')}`);
  }
  const rows = order.items.map((item) => h('li', {},
    h('span', {}, `${item.quantity} × ${item.name}`), h('span', {}, rupees.format(item.price))));
  if (order.total !== null) {
    rows.push(h('li', { class: 'total' }, h('span', {}, 'With delivery'), h('span', {}, rupees.format(order.total))));
  }
  fill(parts.items, rows);
  const end = order.totalMinutes === null ? '' : ` Delivered in ${order.totalMinutes} minutes of the city’s time.`;
  fill(parts.address, order.address ? `To ${order.address}.` : '', end);
}

/**
 * @param {HTMLSelectElement} picker
 * @param {import('./journey-model.js').Order[]} orders
 * @param {string} shown
 */
function drawPicker(picker, orders, shown) {
  const key = orders.map(({ id }) => id).join();
  if (picker.dataset.key !== key) {
    picker.dataset.key = key;
    fill(picker, orders.slice(0, 50).map((order) => h('option', { value: order.id }, summaryOf(order))));
  }
  if (document.activeElement !== picker) picker.value = shown;
}

/** @param {import('./journey-model.js').Order} order */
function summaryOf(order) {
  return `${order.shopName || order.id}, ${clockText(order.beganAt)}`;
}

/**
 * @param {ReturnType<typeof makeParts>} parts
 * @param {import('./journey-model.js').Wallet} wallet
 */
function drawWallet(parts, wallet) {
  fill(parts.balance, wallet.balance === null ? '–' : rupees.format(wallet.balance));
  const since = clockText(wallet.entries[wallet.entries.length - 1].at);
  const sums = [[`Earned since ${since}`, wallet.earned], ['Bonuses', wallet.bonuses], ['Paid out', wallet.paidOut]];
  fill(parts.sums, sums.map(([name, sum]) => h('div', {}, h('dt', {}, name), h('dd', {}, rupees.format(Number(sum))))));
  const names = { earning: 'Delivery', bonus: 'Bonus', payout: 'Payout' };
  fill(parts.entries, wallet.entries.slice(0, 40).map((entry) => h('li', { class: entry.kind },
    h('span', {}, h('strong', {}, names[entry.kind]), entry.isPending ? ' approved, on its way' : '',
      h('span', { class: 'muted small about' }, entry.about)),
    h('span', { class: 'when' },
      h('span', { class: entry.amount < 0 ? 'minus' : 'plus' },
        `${entry.amount < 0 ? '−' : '+'}${rupees.format(Math.abs(entry.amount))}`),
      timeOf(entry.at)))));
}

/** @param {number} at */
function timeOf(at) {
  return h('time', { class: 'muted small', dateTime: new Date(at).toISOString() }, clockText(at));
}

/** @param {string} notice */
function signIn(notice) {
  connection.className = 'state';
  fill(connection, 'Not signed in');
  signInPage(main, {
    notice,
    signIn(token) {
      session.signIn(token);
      location.reload();
    },
  });
}

// A link with a token, pasted into a tab that is open.
addEventListener('hashchange', () => {
  if (splitFragment(location.hash).token !== null) location.reload();
});

if (session.token === null) signIn('');
else new JourneyPage().start();
