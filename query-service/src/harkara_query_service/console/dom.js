/**
 * Elements out of code. Text becomes text nodes, so data cannot become markup; nothing here knows what it shows.
 */

/** @typedef {Node | string | number | null | undefined | false} Child */

/**
 * Make an element.
 *
 * @param {string} name
 * @param {Record<string, any>} [properties] `class` and what has a dash are attributes, `on…` are listeners, `data` is
 *   the dataset; the rest are properties of the element. Null and undefined are left out.
 * @param {...(Child | Child[])} children Null, undefined and false are left out.
 * @returns {any} The element.
 */
export function h(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (key === 'data') Object.assign(element.dataset, value);
    else if (key === 'class' || key === 'for' || key === 'role' || key.includes('-')) element.setAttribute(key, value);
    else if (key in element) /** @type {any} */ (element)[key] = value;
    else throw new TypeError(`${name} has no ${key}`);
  }
  add(element, children);
  return element;
}

/**
 * Put children into an element in place of what it had.
 *
 * @param {Element} element
 * @param {...(Child | Child[])} children
 */
export function fill(element, ...children) {
  element.replaceChildren();
  add(element, children);
}

/**
 * @param {Element} element
 * @param {(Child | Child[])[]} children
 */
function add(element, children) {
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

let numbers = 0;

/**
 * A labelled control.
 *
 * @param {string} label
 * @param {any} control
 * @param {string} [more] Further classes.
 */
export function field(label, control, more = '') {
  control.id ||= `field-${(numbers += 1)}`;
  return h('div', { class: `field ${more}`.trim() }, h('label', { for: control.id }, label), control);
}

/**
 * A few choices of which one is taken, as buttons.
 *
 * @template {string} T
 * @param {string} label
 * @param {[T, string][]} choices Value and text.
 * @param {T} chosen
 * @param {(value: T) => void} choose
 */
export function segmented(label, choices, chosen, choose) {
  const buttons = choices.map(([value, text]) =>
    h('button', {
      type: 'button',
      'aria-pressed': String(value === chosen),
      onclick() {
        for (const [index, button] of buttons.entries()) {
          button.setAttribute('aria-pressed', String(choices[index][0] === value));
        }
        choose(value);
      },
    }, text),
  );
  return h('div', { class: 'segmented', role: 'group', 'aria-label': label }, buttons);
}
