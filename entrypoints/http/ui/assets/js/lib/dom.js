/**
 * Elements made of values. Texts only ever become text nodes, so nothing that a run holds can become markup.
 *
 * @typedef {Node | string | number | null | undefined | false} Child `null`, `undefined` and `false` are left out.
 */

const SVG = "http://www.w3.org/2000/svg";

/** Longer texts are cut, with a button that shows the rest. In UTF-16 units. */
export const LONG_TEXT = 4000;

/**
 * Make an HTML element.
 *
 * Of the properties, `class`, `aria-…`, `data-…`, `role` and other attributes are set as attributes; `true` is an empty
 * attribute, `false`, `null` and `undefined` are none. `style` is an object of CSS properties, also custom ones.
 * `on…` adds a listener. There is no way to set markup.
 *
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, any> | null} [props]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function el(tag, props, ...children) {
  return fill(document.createElement(tag), props, children);
}

/**
 * Make an SVG element, as `el` does.
 *
 * @template {keyof SVGElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, any> | null} [props]
 * @param {...Child} children
 * @returns {SVGElementTagNameMap[T]}
 */
export function svg(tag, props, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

/**
 * @template {HTMLElement | SVGElement} E
 * @param {E} element
 * @param {Record<string, any> | null | undefined} props
 * @param {Child[]} children
 * @returns {E}
 */
function fill(element, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") setStyle(element, value);
    else setAttribute(element, name, value);
  }
  element.append(...present(children));
  return element;
}

/**
 * Set or remove an attribute, but only if that changes anything.
 *
 * @param {Element} element
 * @param {string} name
 * @param {string | number | boolean | null | undefined} value
 */
export function setAttribute(element, name, value) {
  if (value === false || value === null || value === undefined) {
    element.removeAttribute(name);
    return;
  }
  const text = value === true ? "" : String(value);
  if (element.getAttribute(name) !== text) element.setAttribute(name, text);
}

/**
 * Set CSS properties through the object model, which the content security policy allows.
 *
 * @param {HTMLElement | SVGElement} element
 * @param {Record<string, string | number>} properties
 */
export function setStyle(element, properties) {
  for (const [name, value] of Object.entries(properties)) {
    element.style.setProperty(name, String(value));
  }
}

/**
 * Set the text of an element that holds nothing else, but only if that changes anything.
 *
 * @param {Element} element
 * @param {string | number} text
 */
export function setText(element, text) {
  const wanted = String(text);
  const only = element.firstChild;
  if (only instanceof Text && only === element.lastChild) {
    if (only.data !== wanted) only.data = wanted;
  } else {
    element.replaceChildren(wanted);
  }
}

/**
 * Replace the children of an element.
 *
 * @param {Element} element
 * @param {...Child} children
 */
export function replace(element, ...children) {
  element.replaceChildren(...present(children));
}

/**
 * Do something as soon as the elements that are there now have been painted.
 *
 * @param {() => void} action
 */
export function afterPaint(action) {
  requestAnimationFrame(() => setTimeout(action));
}

/**
 * @param {Child[]} children
 * @returns {(Node | string)[]}
 */
function present(children) {
  /** @type {(Node | string)[]} */
  const kept = [];
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    kept.push(child instanceof Node ? child : String(child));
  }
  return kept;
}

/**
 * Return a text from outside, isolated so that its direction does not reach what stands beside it.
 *
 * @param {string} text
 * @param {Record<string, any>} [props]
 * @returns {HTMLElement}
 */
export function outside(text, props) {
  return el("bdi", props ?? null, clipped(text));
}

/**
 * Return a text of any length on as many lines as it needs. A long one is cut and has a button that shows all of it.
 *
 * @param {string} text
 * @param {Record<string, any>} [props]
 * @returns {HTMLElement}
 */
export function longText(text, props) {
  const shown = el("div", { class: "long-text", dir: "auto", ...props }, clipped(text));
  if (text.length <= LONG_TEXT) return shown;
  const all = el("button", { class: "link", type: "button" }, `Show all ${text.length.toLocaleString("en")} characters`);
  all.addEventListener("click", () => {
    setText(shown, text);
    all.remove();
  });
  return el("div", null, shown, all);
}

/**
 * Return the beginning of a text, so that no text takes long to lay out. It ends between characters.
 *
 * @param {string} text
 * @param {number} [length] In UTF-16 units.
 * @returns {string}
 */
export function clipped(text, length = LONG_TEXT) {
  if (text.length <= length) return text;
  const last = text.charCodeAt(length - 1);
  const splitsPair = last >= 0xd800 && last < 0xdc00;
  return `${text.slice(0, splitsPair ? length - 1 : length)}…`;
}

/**
 * Make a button.
 *
 * @param {Child | Child[]} content
 * @param {(event: MouseEvent) => void} action
 * @param {Record<string, any>} [props]
 * @returns {HTMLButtonElement}
 */
export function button(content, action, props) {
  return el("button", { class: "button", type: "button", onclick: action, ...props }, ...[content].flat());
}

/**
 * Make a button that closes what is beside a list.
 *
 * @param {() => void} close
 * @returns {HTMLButtonElement}
 */
export function closeButton(close) {
  return button(icon("close"), close, { class: "icon-button", "aria-label": "Close the details" });
}

/**
 * Return an icon: one of the symbols of `index.html`.
 *
 * @param {string} name
 * @param {string | null} [label] What it says where nothing beside it does; without one it is decoration.
 * @returns {SVGSVGElement}
 */
export function icon(name, label = null) {
  const shown = svg("svg", { class: "icon" }, svg("use", { href: `#icon-${name}` }));
  setIcon(shown, name, label);
  return shown;
}

/**
 * Make an icon another one.
 *
 * @param {SVGSVGElement} shown
 * @param {string} name
 * @param {string | null} [label]
 */
export function setIcon(shown, name, label = null) {
  setAttribute(shown, "data-icon", name);
  setAttribute(/** @type {SVGUseElement} */ (shown.firstElementChild), "href", `#icon-${name}`);
  setAttribute(shown, "role", label === null ? null : "img");
  setAttribute(shown, "aria-label", label);
  setAttribute(shown, "aria-hidden", label === null ? "true" : null);
}
