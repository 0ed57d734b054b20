/**
 * A list of items in columns of which one may be chosen: a virtual list for pages that show the chosen item beside it.
 *
 * @template T
 * @typedef {object} ItemRow What `createRow` returns.
 * @property {HTMLElement[]} cells one per column; each becomes a gridcell with the class of its column
 * @property {(item: T) => void} update
 */

import { el, setAttribute } from "./dom.js";
import { VirtualList } from "./virtual_list.js";

const ROW_HEIGHT = 28;

/** @template T */
export class ItemList {
  #options;
  #list;
  /** @type {readonly T[]} */
  #items = [];

  /**
   * @param {object} options
   * @param {string} options.label
   * @param {string} options.rowClass
   * @param {readonly [string, string][]} options.columns class and heading; a heading in parentheses is only read aloud
   * @param {() => ItemRow<T>} options.createRow
   * @param {(item: T) => void} options.select the active row changed, by key or by mouse
   * @param {(item: T) => void} options.open
   */
  constructor(options) {
    this.#options = options;
    const headings = options.columns.map(([name, text]) => heading(name, text));
    this.#list = new VirtualList({
      label: options.label,
      rowHeight: ROW_HEIGHT,
      header: el("div", { class: options.rowClass, role: "row" }, ...headings),
      createRow: () => this.#createRow(),
      onActive: (index) => options.select(this.#items[index]),
      // A click has made the row active already; that is all it does.
      onOpen: (index, event) => event instanceof KeyboardEvent && options.open(this.#items[index]),
    });
    this.element = this.#list.element;
  }

  /**
   * @param {readonly T[]} items
   * @param {number} chosen index, -1 for none
   */
  show(items, chosen) {
    this.#items = items;
    this.#list.setCount(items.length);
    this.#list.setActive(chosen);
  }

  /** Update the rows in sight. */
  refresh() {
    this.#list.setCount(this.#items.length);
  }

  /** Scroll the active row into sight. */
  reveal() {
    if (this.#list.active >= 0) this.#list.reveal(this.#list.active);
  }

  /**
   * Return the shortcuts of every such list.
   *
   * @param {string} item what it is called
   * @param {string} opened what opening does
   * @returns {import("./keyboard.js").Shortcut[]}
   */
  shortcuts(item, opened) {
    return [
      { keys: ["j", "ArrowDown"], label: `Next ${item}`, run: () => this.#list.move(1) },
      { keys: ["k", "ArrowUp"], label: `Previous ${item}`, run: () => this.#list.move(-1) },
      { keys: ["o", "Enter"], label: opened, run: () => this.#open() },
    ];
  }

  destroy() {
    this.#list.destroy();
  }

  #open() {
    const { active } = this.#list;
    if (active >= 0) this.#options.open(this.#items[active]);
  }

  #createRow() {
    const { columns, rowClass, createRow } = this.#options;
    const { cells, update } = createRow();
    for (const [at, cell] of cells.entries()) {
      setAttribute(cell, "role", "gridcell");
      cell.classList.add(...columns[at][0].split(" "));
    }
    const element = el("div", { class: rowClass }, ...cells);
    return { element, update: (/** @type {number} */ index) => update(this.#items[index]) };
  }
}

/**
 * @param {string} name
 * @param {string} text
 */
function heading(name, text) {
  const spoken = /^\((.*)\)$/.exec(text)?.[1];
  return el("span", { role: "columnheader", class: name, "aria-label": spoken }, spoken ? null : text);
}
