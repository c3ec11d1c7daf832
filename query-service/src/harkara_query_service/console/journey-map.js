/**
 * The map of one order: streets, shop, home, and the rider who moves along the way. Drawn as SVG out of street data
 * that lies beside this file; no tile of anybody's is loaded.
 *
 * Between two positions the rider moves as long as there was between the two before, along the route where both lie on
 * it: so what is shown is a moment late, and smooth.
 *
 * What does not belong here: what an order is.
 */

/** @typedef {import('./journey-model.js').Place} Place */
/** @typedef {import('./journey-model.js').Order} Order */
/** @typedef {{x: number, y: number}} Spot In metres to the east and to the south of the map's middle. */

const SVG = 'http://www.w3.org/2000/svg';
const METRES_PER_DEGREE = 111_195;
const MARGIN = 260;
const SMALLEST = 900;
const ON_ROUTE = 80;
const LONGEST_MOVE_MS = 40_000;

export class JourneyMap {
  #root;
  #streets;
  #layers;
  /** @type {(place: Place) => Spot} */
  #project;
  #whole;
  /** What is drawn now, by a name that changes with it. */
  #drawn = '';
  /** @type {Spot[]} */
  #route = [];
  /** @type {Spot | null} */
  #rider = null;
  #movedAt = 0;
  #frame = 0;
  #box = { x: 0, y: 0, width: 1, height: 1 };

  /**
   * @param {SVGSVGElement} root Where to draw.
   * @param {any} streets The street data.
   */
  constructor(root, streets) {
    this.#root = root;
    this.#streets = streets;
    this.#project = projection(streets.crossings);
    this.#whole = boxOf(streets.crossings.map(this.#project), 60);
    this.#layers = Object.fromEntries(
      ['streets', 'route', 'past', 'names', 'marks'].map((name) => [name, svg('g', { class: `map-${name}` })]),
    );
    root.replaceChildren(...Object.values(this.#layers));
    this.#drawStreets();
    this.#look(this.#whole);
    new ResizeObserver(() => this.#look(this.#box)).observe(root);
  }

  /**
   * Show an order as it is now.
   *
   * @param {Order | null} order
   * @param {{moves: boolean}} options `moves`: whether the rider may be seen moving; else they are put where they are.
   */
  show(order, { moves }) {
    const isOnTheWay = (order?.routeToHome.length ?? 0) > 1;
    const route = (isOnTheWay ? order?.routeToHome : order?.routeToShop) ?? [];
    const drawn = `${order?.id}/${isOnTheWay}/${route.length}`;
    if (drawn !== this.#drawn) this.#begin(order, route, drawn);
    const last = order?.positions.at(-1);
    if (!order || !last) {
      this.#rider = null;
      this.#layers.marks.querySelector('.mark-rider')?.remove();
      return;
    }
    this.#riderMark();
    if (last.at === this.#movedAt) return;
    const before = order.positions.at(-2);
    const lasts = before ? Math.min(Math.max(last.at - before.at, 400), LONGEST_MOVE_MS) : 0;
    this.#movedAt = last.at;
    this.#move(this.#project(last.place), moves && this.#rider ? lasts : 0);
  }

  /**
   * Draw what stays for this part of the journey.
   *
   * @param {Order | null} order
   * @param {Place[]} route
   * @param {string} drawn
   */
  #begin(order, route, drawn) {
    const isSameOrder = drawn.split('/')[0] === this.#drawn.split('/')[0];
    this.#drawn = drawn;
    this.#route = route.map(this.#project);
    if (!isSameOrder) {
      cancelAnimationFrame(this.#frame);
      this.#rider = null;
      this.#movedAt = 0;
      this.#layers.marks.replaceChildren();
    }
    this.#layers.past.replaceChildren();
    this.#layers.route.replaceChildren(
      ...(this.#route.length > 1 ? [svg('polyline', { class: 'route-ahead', points: pointsOf(this.#route) })] : []),
    );
    if (!isSameOrder) {
      if (order?.shop) this.#layers.marks.append(this.#mark('shop', 'Shop', order.shop));
      if (order?.home) this.#layers.marks.append(this.#mark('home', 'Home', order.home));
    }
    const places = [order?.shop, order?.home, ...(order?.routeToShop ?? []), ...(order?.routeToHome ?? [])];
    const spots = places.flatMap((place) => (place ? [this.#project(place)] : []));
    this.#look(spots.length > 1 ? boxOf(spots, MARGIN, SMALLEST) : this.#whole);
  }

  /**
   * @param {Spot} target
   * @param {number} lasts Milliseconds; 0 to be there at once.
   */
  #move(target, lasts) {
    cancelAnimationFrame(this.#frame);
    const from = this.#rider ?? target;
    const start = along(this.#route, from);
    const end = along(this.#route, target);
    const follows = start.off < ON_ROUTE && end.off < ON_ROUTE && end.metres >= start.metres;
    const began = performance.now();
    const step = () => {
      const share = lasts === 0 ? 1 : Math.min((performance.now() - began) / lasts, 1);
      this.#put(
        follows
          ? spotAt(this.#route, start.metres + (end.metres - start.metres) * share)
          : { x: from.x + (target.x - from.x) * share, y: from.y + (target.y - from.y) * share },
      );
      if (share < 1) this.#frame = requestAnimationFrame(step);
    };
    step();
  }

  /** @param {Spot} spot */
  #put(spot) {
    this.#rider = spot;
    this.#riderMark().dataset.spot = `${spot.x} ${spot.y}`;
    this.#place(this.#riderMark());
    const { metres, off } = along(this.#route, spot);
    if (this.#route.length < 2 || off > ON_ROUTE) return;
    const passed = [...upTo(this.#route, metres), spot];
    let past = this.#layers.past.firstElementChild;
    if (!past) {
      past = svg('polyline', { class: 'route-past' });
      this.#layers.past.append(past);
    }
    past.setAttribute('points', pointsOf(passed));
  }

  #riderMark() {
    const there = /** @type {SVGGElement | null} */ (this.#layers.marks.querySelector('.mark-rider'));
    if (there) return there;
    const halo = svg('circle', { class: 'halo', r: 17 });
    const mark = /** @type {SVGGElement} */ (
      svg('g', { class: 'mark mark-rider' }, halo, svg('circle', { class: 'dot', r: 9 }))
    );
    this.#layers.marks.prepend(mark);
    return mark;
  }

  /**
   * @param {'shop' | 'home'} kind
   * @param {string} name
   * @param {Place} place
   */
  #mark(kind, name, place) {
    const spot = this.#project(place);
    const shape = kind === 'shop'
      ? svg('rect', { class: 'dot', x: -9, y: -9, width: 18, height: 18, rx: 4 })
      : svg('path', { class: 'dot', d: 'M0 -12 L11 -2 L8 -2 L8 9 L-8 9 L-8 -2 L-11 -2 Z' });
    const label = svg('text', { class: 'mark-name', y: 26 });
    label.textContent = name;
    const mark = svg('g', { class: `mark mark-${kind}` }, shape, label);
    mark.dataset.spot = `${spot.x} ${spot.y}`;
    return mark;
  }

  #drawStreets() {
    const spots = new Map();
    for (const crossing of this.#streets.crossings) spots.set(crossing.id, this.#project(crossing));
    for (const [number, street] of this.#streets.streets.entries()) {
      const line = street.crossings.map((/** @type {string} */ id) => spots.get(id));
      this.#layers.streets.append(svg('polyline', { class: 'street', points: pointsOf(line) }));
      if (street.name === 'Radial Road') continue;
      // A name is read from left to right; that of a ring stands on its upper half.
      const isRing = street.crossings[0] === street.crossings.at(-1);
      const isBackwards = line[0].x > line.at(-1).x;
      const shown = isRing ? [...line.slice(-7, -1), ...line.slice(0, 7)] : isBackwards ? line.reverse() : line;
      const id = `street-${number}`;
      const text = svg('text', { class: 'street-name', dy: '0.32em' });
      const path = svg('textPath', { href: `#${id}`, startOffset: '50%' });
      path.textContent = street.name;
      text.append(path);
      this.#layers.names.append(svg('path', { id, class: 'street-guide', d: `M${pointsOf(shown)}` }), text);
    }
  }

  /** Look at a part of the map, whole streets and marks in the size of the screen. */
  #look(/** @type {{x: number, y: number, width: number, height: number}} */ box) {
    this.#box = box;
    this.#root.setAttribute('viewBox', `${box.x} ${box.y} ${box.width} ${box.height}`);
    const { width, height } = this.#root.getBoundingClientRect();
    if (!width || !height) return;
    const metresPerPixel = Math.max(box.width / width, box.height / height);
    this.#root.style.setProperty('--metre', String(metresPerPixel));
    this.#root.dataset.scale = String(metresPerPixel);
    for (const mark of this.#layers.marks.children) this.#place(/** @type {SVGGElement} */ (mark));
  }

  /** @param {SVGGElement} mark */
  #place(mark) {
    const [x, y] = (mark.dataset.spot ?? '0 0').split(' ');
    mark.setAttribute('transform', `translate(${x} ${y}) scale(${this.#root.dataset.scale ?? 1})`);
  }
}

/**
 * @param {Place[]} places The middle of which is the map's.
 * @returns {(place: Place) => Spot}
 */
export function projection(places) {
  const middle = (/** @type {number[]} */ numbers) => (Math.min(...numbers) + Math.max(...numbers)) / 2;
  const latitude = middle(places.map((place) => place.latitude));
  const longitude = middle(places.map((place) => place.longitude));
  const shrink = Math.cos((latitude * Math.PI) / 180);
  return (place) => ({
    x: (place.longitude - longitude) * shrink * METRES_PER_DEGREE,
    y: (latitude - place.latitude) * METRES_PER_DEGREE,
  });
}

/**
 * Where a spot lies along a line: so many metres from its start, and so many beside it.
 *
 * @param {Spot[]} line
 * @param {Spot} spot
 */
export function along(line, spot) {
  let best = { metres: 0, off: line.length === 1 ? distance(line[0], spot) : Infinity };
  let metres = 0;
  for (let index = 1; index < line.length; index += 1) {
    const [from, to] = [line[index - 1], line[index]];
    const length = distance(from, to);
    const dot = (spot.x - from.x) * (to.x - from.x) + (spot.y - from.y) * (to.y - from.y);
    const share = length === 0 ? 0 : Math.min(Math.max(dot / length ** 2, 0), 1);
    const off = distance(spot, { x: from.x + (to.x - from.x) * share, y: from.y + (to.y - from.y) * share });
    if (off < best.off) best = { metres: metres + length * share, off };
    metres += length;
  }
  return best;
}

/**
 * The spot so many metres along a line; its end for more.
 *
 * @param {Spot[]} line At least one.
 * @param {number} metres
 */
export function spotAt(line, metres) {
  let left = metres;
  for (let index = 1; index < line.length; index += 1) {
    const [from, to] = [line[index - 1], line[index]];
    const length = distance(from, to);
    if (left <= length) {
      const share = length === 0 ? 0 : Math.max(left, 0) / length;
      return { x: from.x + (to.x - from.x) * share, y: from.y + (to.y - from.y) * share };
    }
    left -= length;
  }
  return line[line.length - 1];
}

/**
 * The corners of a line that lie before so many metres.
 *
 * @param {Spot[]} line
 * @param {number} metres
 */
function upTo(line, metres) {
  let passed = 0;
  return line.filter((spot, index) => {
    if (index > 0) passed += distance(line[index - 1], spot);
    return passed <= metres;
  });
}

/**
 * @param {Spot} one
 * @param {Spot} other
 */
function distance(one, other) {
  return Math.hypot(one.x - other.x, one.y - other.y);
}

/**
 * @param {Spot[]} spots
 * @param {number} margin
 * @param {number} [smallest]
 */
function boxOf(spots, margin, smallest = 0) {
  const span = (/** @type {number[]} */ numbers) => {
    const [low, high] = [Math.min(...numbers) - margin, Math.max(...numbers) + margin];
    const more = Math.max(smallest - (high - low), 0) / 2;
    return [low - more, high - low + 2 * more];
  };
  const [[x, width], [y, height]] = [span(spots.map((spot) => spot.x)), span(spots.map((spot) => spot.y))];
  return { x, y, width, height };
}

/** @param {Spot[]} spots */
function pointsOf(spots) {
  return spots.map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`).join(' ');
}

/**
 * @param {string} name
 * @param {Record<string, string | number>} attributes
 * @param {...Node} children
 * @returns {any}
 */
function svg(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}
