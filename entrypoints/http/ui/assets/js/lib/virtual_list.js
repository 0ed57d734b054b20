/**
 * A list of any length of which only the rows in sight are in the document. Rows have one height and are reused.
 *
 * It is a grid of ARIA: the grid itself has the focus, and `aria-activedescendant` says which row is active, so that no
 * reuse of a row loses the focus. Its rows are 1 + number of header rows onwards, as `aria-rowindex` counts.
 *
 * @typedef {object} Row What `createRow` returns.
 * @property {HTMLElement} element With its cells, each `role="gridcell"`. Role, id and position are set by the list.
 * @property {(index: number) => void} update Show the item of this index. Called often: change only what differs.
 *
 * @typedef {object} Options
 * @property {string} label What the list is, for screen readers.
 * @property {number} rowHeight In CSS pixels.
 * @property {() => Row} createRow
 * @property {"grid" | "treegrid"} [role]
 * @property {HTMLElement | null} [header] Rows of headings, `role="row"` with `columnheader`s.
 * @property {(index: number) => void} [onActive] The active row changed, by key or by mouse.
 * @property {(index: number, event: Event) => void} [onOpen] Enter or a click on a row.
 * @property {(index: number) => void} [onExpand] Arrow right.
 * @property {(index: number) => void} [onCollapse] Arrow left.
 */

import { el, setAttribute } from "./dom.js";

/** Rows kept ready above and below what is in sight. */
const OVERSCAN = 6;

let lists = 0;

/**
 * Return which rows are in sight: from the first up to, without, the last.
 *
 * @param {number} top Of the visible part, from the top of the first row, in pixels.
 * @param {number} bottom
 * @param {number} rowHeight
 * @param {number} count
 * @returns {[number, number]}
 */
export function visibleRange(top, bottom, rowHeight, count) {
  if (bottom <= top) return [0, 0];
  const first = Math.max(0, Math.floor(top / rowHeight) - OVERSCAN);
  const last = Math.min(count, Math.ceil(bottom / rowHeight) + OVERSCAN);
  return first < last ? [first, last] : [0, 0];
}

export class VirtualList {
  #options;
  #id = `list-${++lists}`;
  #count = 0;
  #active = -1;
  #frame = 0;
  /** @type {Map<number, Row>} The rows in the document, by index. */
  #shown = new Map();
  /** @type {Row[]} Rows to reuse. */
  #spare = [];
  #body;
  #abort = new AbortController();
  #resizes = new ResizeObserver(() => this.#schedule());

  /** @param {Options} options */
  constructor(options) {
    this.#options = options;
    this.#body = el("div", { class: "list-body", role: "rowgroup" });
    const head = options.header ? el("div", { class: "list-head", role: "rowgroup" }, options.header) : null;
    const props = { class: "list", role: options.role ?? "grid", tabindex: 0, "aria-label": options.label };
    /** The element to put into the page. It scrolls itself if its height is limited, else with the page. */
    this.element = el("div", props, head, this.#body);
    this.#listen();
  }

  /** @returns {number} The index of the active row, -1 if there is none. */
  get active() {
    return this.#active;
  }

  /** @returns {number} */
  get count() {
    return this.#count;
  }

  /**
   * Show this many items, and update every row in sight. The scroll position stays.
   *
   * @param {number} count
   */
  setCount(count) {
    this.#count = count;
    this.#body.style.height = `${count * this.#options.rowHeight}px`;
    setAttribute(this.element, "aria-rowcount", count + this.#headerRows);
    if (this.#active >= count) this.#active = count - 1;
    this.#layOut();
    for (const [index, row] of this.#shown) this.#update(row, index);
  }

  /**
   * Make a row active without telling `onActive`, as for a row that the address names. -1 is none.
   *
   * @param {number} index
   * @param {{reveal?: boolean}} [how] `reveal` scrolls it into sight.
   */
  setActive(index, { reveal = false } = {}) {
    this.#active = Math.min(index, this.#count - 1);
    if (reveal && this.#active >= 0) this.reveal(this.#active);
    for (const [shown, row] of this.#shown) this.#mark(row, shown);
    this.#pointAtActive();
  }

  /**
   * Make the row active that is this many rows further, within the list.
   *
   * @param {number} rows
   */
  move(rows) {
    this.#choose(this.#active < 0 && rows > 0 ? 0 : this.#active + rows);
  }

  /**
   * Scroll a row into sight, if it is not.
   *
   * @param {number} index
   */
  reveal(index) {
    const height = this.#options.rowHeight;
    const [top, bottom] = this.#window();
    if (index * height < top) this.#scrollBy(index * height - top);
    else if ((index + 1) * height > bottom) this.#scrollBy((index + 1) * height - bottom);
    this.#layOut();
  }

  /** Remove every listener; the element is removed by the page. */
  destroy() {
    cancelAnimationFrame(this.#frame);
    this.#abort.abort();
    this.#resizes.disconnect();
  }

  get #headerRows() {
    return this.#options.header ? 1 : 0;
  }

  #listen() {
    const { signal } = this.#abort;
    // Captured at the document, since it is either the list or anything around it that scrolls.
    document.addEventListener("scroll", () => this.#schedule(), { capture: true, passive: true, signal });
    addEventListener("resize", () => this.#schedule(), { signal });
    this.#resizes.observe(this.element);
    // What stands above the list may move it.
    this.#resizes.observe(document.body);
    this.element.addEventListener("keydown", (event) => this.#press(event), { signal });
    this.element.addEventListener("click", (event) => this.#click(event), { signal });
  }

  #schedule() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#layOut();
    });
  }

  /**
   * The part of the body that is in sight, in pixels from its top.
   *
   * @returns {[number, number]}
   */
  #window() {
    const body = this.#body.getBoundingClientRect();
    const outer = this.element.getBoundingClientRect();
    const head = this.#options.header ? this.#options.header.getBoundingClientRect().height : 0;
    return [Math.max(0, outer.top + head) - body.top, Math.min(innerHeight, outer.bottom) - body.top];
  }

  /** @param {number} pixels */
  #scrollBy(pixels) {
    const scrolls = this.element.scrollHeight > this.element.clientHeight + 1;
    (scrolls ? this.element : document.scrollingElement)?.scrollBy({ top: pixels, behavior: "instant" });
  }

  /** Have exactly the rows in sight in the document. */
  #layOut() {
    if (!this.element.isConnected) return;
    const [first, last] = visibleRange(...this.#window(), this.#options.rowHeight, this.#count);
    for (const [index, row] of this.#shown) {
      if (index >= first && index < last) continue;
      this.#shown.delete(index);
      this.#spare.push(row);
      // What had the focus in this row will belong to another item.
      if (row.element.contains(document.activeElement)) this.element.focus({ preventScroll: true });
    }
    for (let index = first; index < last; index += 1) {
      if (!this.#shown.has(index)) this.#place(this.#spare.pop() ?? this.#options.createRow(), index);
    }
    for (const { element } of this.#spare) element.remove();
    this.#spare.length = Math.min(this.#spare.length, 4 * OVERSCAN);
    this.#pointAtActive();
  }

  /**
   * @param {Row} row
   * @param {number} index
   */
  #place(row, index) {
    const { element } = row;
    this.#shown.set(index, row);
    element.dataset.index = String(index);
    element.style.transform = `translateY(${index * this.#options.rowHeight}px)`;
    setAttribute(element, "role", "row");
    setAttribute(element, "id", this.#rowId(index));
    setAttribute(element, "aria-rowindex", index + 1 + this.#headerRows);
    element.classList.add("list-row");
    this.#update(row, index);
    if (!element.isConnected) this.#body.append(element);
  }

  /**
   * @param {Row} row
   * @param {number} index
   */
  #update(row, index) {
    row.update(index);
    this.#mark(row, index);
  }

  /**
   * @param {Row} row
   * @param {number} index
   */
  #mark(row, index) {
    setAttribute(row.element, "aria-selected", index === this.#active ? "true" : "false");
  }

  /** Tell screen readers which row is active, as long as it is in the document. */
  #pointAtActive() {
    const id = this.#shown.has(this.#active) ? this.#rowId(this.#active) : null;
    setAttribute(this.element, "aria-activedescendant", id);
  }

  /** @param {number} index */
  #rowId(index) {
    return `${this.#id}-${index}`;
  }

  /** @param {number} index */
  #choose(index) {
    if (!this.#count) return;
    this.setActive(Math.max(0, Math.min(index, this.#count - 1)), { reveal: true });
    this.#options.onActive?.(this.#active);
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== this.element) return;
    const action = this.#actions()[event.key];
    if (!action) return;
    event.preventDefault();
    action(event);
  }

  /** @returns {Record<string, ((event: KeyboardEvent) => void) | undefined>} */
  #actions() {
    const [top, bottom] = this.#window();
    const rows = Math.max(1, Math.floor((bottom - top) / this.#options.rowHeight) - 1);
    const { onOpen, onExpand, onCollapse } = this.#options;
    const active = this.#active;
    return {
      ArrowDown: () => this.move(1),
      ArrowUp: () => this.move(-1),
      PageDown: () => this.move(rows),
      PageUp: () => this.move(-rows),
      Home: () => this.#choose(0),
      End: () => this.#choose(this.#count - 1),
      Enter: onOpen && active >= 0 ? (event) => onOpen(active, event) : undefined,
      ArrowRight: onExpand && active >= 0 ? () => onExpand(active) : undefined,
      ArrowLeft: onCollapse && active >= 0 ? () => onCollapse(active) : undefined,
    };
  }

  /** @param {MouseEvent} event */
  #click(event) {
    const target = /** @type {Element} */ (event.target);
    const row = /** @type {HTMLElement | null} */ (target.closest(".list-row"));
    // Buttons and links within a row do what they say. Selecting text is no click.
    if (!row || target.closest("a, button, input") || String(getSelection())) return;
    const index = Number(row.dataset.index);
    this.#choose(index);
    this.#options.onOpen?.(index, event);
  }
}
