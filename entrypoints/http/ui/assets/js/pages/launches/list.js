/** The list of launches, grouped by day; only the rows in sight are in the document. */

import { button, clipped, el, icon, replace, setAttribute, setIcon, setStyle, setText } from "../../lib/dom.js";
import { cost, count, counted, day, duration, time, tokens } from "../../lib/format.js";
import { tally } from "../../lib/run_details.js";
import { statusName } from "../../lib/status.js";
import { launchHref } from "../../lib/url_state.js";
import { VirtualList } from "../../lib/virtual_list.js";
import { byDay } from "../../model/launch_days.js";
import { durationOf, metricOf, problemsInside, reasonOf, usualDurations } from "../../model/launch_summary.js";
import { fullName } from "../../model/names.js";

/** @typedef {import("../../lib/page.js").Run} Run */
/** @typedef {import("../../model/launch_days.js").Item} Item */
/** @typedef {import("../../model/launch_summary.js").Usual} Usual */

export const ROW_HEIGHT = 28;
const CLIP = 300;

/** @type {readonly [string, string][]} Class and heading of each column. */
const COLUMNS = [
  ["status", ""],
  ["name", "Launch"],
  ["what", "What, or why not"],
  ["inside", "Problems inside"],
  ["runs number", "Runs"],
  ["start number", "Start"],
  ["duration number", "Duration"],
  ["tokens number", "Tokens"],
  ["cost number", "Cost"],
  ["commits", "Commits"],
];

const ROW_CLASSES = { launch: "launches-row", day: "day-row", end: "end-row" };

/**
 * @typedef {object} Actions
 * @property {(run: Run) => void} open
 * @property {(run: Run) => void} moved The active launch is another one.
 * @property {() => void} more Read more launches.
 */

export class LaunchList {
  #actions;
  #list;
  /** @type {(Item | {kind: "end"})[]} */
  #items = [];
  /** @type {Map<string, Usual>} */
  #usual = new Map();
  #zone = "UTC";
  /** The `event_id` of the active launch. */
  #active = "";
  /** @type {import("../../lib/paged_runs.js").PagedRuns | null} */
  #paged = null;

  /** @param {Actions} actions */
  constructor(actions) {
    this.#actions = actions;
    const headings = COLUMNS.map(([name, text]) =>
      el("span", { role: "columnheader", class: name, "aria-label": text ? null : "Status" }, text),
    );
    this.#list = new VirtualList({
      label: "Launches",
      rowHeight: ROW_HEIGHT,
      header: el("div", { class: "launches-row", role: "row" }, ...headings),
      createRow: () => this.#createRow(),
      onActive: (index) => this.#moved(index),
      onOpen: (index) => this.#open(index),
    });
    this.element = this.#list.element;
  }

  /**
   * Show the launches that are loaded. What is in sight stays where it is when others come in above it.
   *
   * @param {import("../../lib/paged_runs.js").PagedRuns} paged
   * @param {string} zone
   */
  show(paged, zone) {
    this.#paged = paged;
    this.#zone = zone;
    this.#usual = usualDurations(paged.runs);
    const items = byDay(paged.runs, zone, !paged.hasMore);
    const shift = this.#shift(items);
    this.#items = paged.hasMore ? [...items, { kind: "end" }] : items;
    this.#list.setCount(this.#items.length);
    this.#list.setActive(this.#indexOf(this.#active));
    if (shift) this.#scrollBy(shift * ROW_HEIGHT);
  }

  /** Hold no launch, so that keys act on none while the list is not shown. */
  clear() {
    this.#items = [];
    this.#list.setCount(0);
  }

  /**
   * Make a launch the active one, if it is loaded.
   *
   * @param {string} eventId
   * @param {boolean} [reveal] Scroll it into sight.
   */
  activate(eventId, reveal = false) {
    this.#active = eventId;
    this.#list.setActive(this.#indexOf(eventId), { reveal });
  }

  /**
   * Make the launch active that is so many launches further.
   *
   * @param {1 | -1} step
   */
  move(step) {
    let index = this.#list.active + step;
    if (this.#list.active < 0) index = 0;
    while (this.#items[index] && this.#items[index]?.kind === "day") index += step;
    if (!this.#items[index]) return;
    this.#list.setActive(index, { reveal: true });
    this.#moved(index);
  }

  /** Open the active launch. */
  openActive() {
    if (this.#list.active >= 0) this.#open(this.#list.active);
  }

  /** @returns {Run | null} The active launch. */
  get active() {
    const item = this.#items[this.#list.active];
    return item?.kind === "launch" ? item.run : null;
  }

  /** Remove every listener. */
  destroy() {
    this.#list.destroy();
  }

  /** @param {number} index */
  #moved(index) {
    const item = this.#items[index];
    if (item?.kind !== "launch" || item.run.event_id === this.#active) return;
    this.#active = item.run.event_id;
    this.#actions.moved(item.run);
  }

  /** @param {number} index */
  #open(index) {
    const item = this.#items[index];
    if (item?.kind === "launch") this.#actions.open(item.run);
    else if (item?.kind === "end") this.#actions.more();
  }

  /** @param {string} eventId */
  #indexOf(eventId) {
    if (!eventId) return -1;
    return this.#items.findIndex((item) => item.kind === "launch" && item.run.event_id === eventId);
  }

  /**
   * Return how many rows further down the first launch in sight will be.
   *
   * @param {Item[]} items
   */
  #shift(items) {
    const scrolled = this.#scrolled();
    // At the top one wants to see what comes in.
    if (scrolled < ROW_HEIGHT) return 0;
    for (let index = Math.floor(scrolled / ROW_HEIGHT); index < this.#items.length; index += 1) {
      const item = this.#items[index];
      if (item?.kind !== "launch") continue;
      const found = items.findIndex((one) => one.kind === "launch" && one.run.event_id === item.run.event_id);
      return found < 0 ? 0 : found - index;
    }
    return 0;
  }

  /** @returns {number} How far the list is scrolled, in pixels. */
  #scrolled() {
    const body = /** @type {HTMLElement} */ (this.element.lastElementChild);
    const head = /** @type {HTMLElement} */ (this.element.firstElementChild);
    return Math.max(this.element.getBoundingClientRect().top + head.offsetHeight, 0) - body.getBoundingClientRect().top;
  }

  /** @param {number} pixels */
  #scrollBy(pixels) {
    const scrollsItself = this.element.scrollHeight > this.element.clientHeight + 1;
    (scrollsItself ? this.element : document.scrollingElement)?.scrollBy({ top: pixels, behavior: "instant" });
  }

  /** @returns {import("../../lib/virtual_list.js").Row} */
  #createRow() {
    const element = el("div");
    const launch = new LaunchCells();
    const heading = el("div", { class: "day-cells", role: "gridcell" });
    const end = el("div", { class: "end-cells", role: "gridcell" });
    /** @param {number} index */
    const update = (index) => {
      const item = this.#items[index];
      if (!item) return;
      setAttribute(element, "class", `${ROW_CLASSES[item.kind]} list-row`);
      if (item.kind === "launch") launch.show(item.run, this.#usual.get(item.run.agent_name) ?? null, this.#zone);
      else if (item.kind === "day") showDay(heading, item, this.#zone);
      else this.#showEnd(end);
      const cells = { launch: launch.cells, day: [heading], end: [end] }[item.kind];
      if (element.firstChild !== cells[0]) replace(element, ...cells);
    };
    return { element, update };
  }

  /** @param {HTMLElement} element */
  #showEnd(element) {
    const paged = this.#paged;
    if (!paged) return;
    // Being in sight asks for more, but a search or a failure goes on only when told to.
    if (!paged.isReading && !paged.isSparse && !paged.problem) queueMicrotask(this.#actions.more);
    const isWaiting = paged.isReading || !(paged.isSparse || paged.problem);
    const label = paged.problem ? "Try again" : "Search further back";
    const more = isWaiting ? "Loading more…" : button(label, this.#actions.more, { class: "link" });
    replace(element, paged.problem && `${paged.problem} `, more);
  }
}

/**
 * @param {HTMLElement} element
 * @param {import("../../model/launch_days.js").DayItem} item
 * @param {string} zone
 */
function showDay(element, { start, launches, problems, cost: usd, isWhole }, zone) {
  const more = isWhole ? "" : "+";
  replace(
    element,
    el("strong", null, day(start, zone)),
    el("span", { class: "muted" }, `${count(launches)}${more} ${launches === 1 && isWhole ? "launch" : "launches"}`),
    problems > 0 && el("span", { "data-status": "failure" }, counted(problems, "problem")),
    usd !== null && el("span", { class: "muted" }, cost(usd)),
  );
}

/** The cells of one launch, made once and filled again and again. */
class LaunchCells {
  #icon = icon("success");
  #link = el("a");
  #name = el("bdi");
  #text = el("bdi");
  #where = el("bdi", { class: "where" });
  #others = el("span", { class: "where" });
  #duration = el("span");
  #bar = el("span", { class: "usual", "aria-hidden": "true" });
  #hash = el("bdi", { class: "mono" });
  #moreCommits = el("span", { class: "where" });
  /** @type {string} What the problems inside were drawn from. */
  #inside = "";

  constructor() {
    this.cells = COLUMNS.map(([name]) => el("span", { role: "gridcell", class: name }));
    const [status, name, what, , , , taken, , , commits] = this.cells;
    status?.append(this.#icon);
    this.#link.append(this.#name);
    name?.append(this.#link);
    what?.append(this.#text, this.#where, this.#others);
    taken?.append(this.#duration, this.#bar);
    commits?.append(this.#hash, this.#moreCommits);
  }

  /**
   * @param {Run} run
   * @param {Usual | null} usual
   * @param {string} zone
   */
  show(run, usual, zone) {
    const [status, name, , , runs, start, , tokenCell, costCell] = this.cells;
    setIcon(this.#icon, run.status, statusName(run.status));
    setAttribute(/** @type {Element} */ (status), "data-status", run.status);
    setText(this.#name, clipped(fullName(run), CLIP));
    setAttribute(this.#link, "href", launchHref(run));
    setAttribute(/** @type {Element} */ (name), "title", `${clipped(run.run_id, CLIP)} · ${clipped(run.agent_name, CLIP)}`);
    this.#showReason(run);
    this.#showInside(run);
    setText(/** @type {Element} */ (runs), count(run.rollup?.runs));
    setText(/** @type {Element} */ (start), time(run.start_time, zone));
    this.#showDuration(run, usual);
    setText(/** @type {Element} */ (tokenCell), tokens(metricOf(run, "total_tokens")));
    setText(/** @type {Element} */ (costCell), cost(metricOf(run, "cost_usd")));
    this.#showCommits(run);
  }

  /** @param {Run} run */
  #showReason(run) {
    const { text, status, where, others } = reasonOf(run);
    const cell = /** @type {Element} */ (this.cells[2]);
    setText(this.#text, clipped(text, CLIP));
    setText(this.#where, clipped(where, CLIP));
    setText(this.#others, others ? `+${count(others)}` : "");
    setAttribute(this.#text, "data-status", status);
    setAttribute(cell, "title", clipped([text, where].filter(Boolean).join(" · "), CLIP) || null);
    setAttribute(cell, "class", `what${status ? "" : " muted"}`);
  }

  /** @param {Run} run */
  #showInside(run) {
    const inside = problemsInside(run);
    const drawn = JSON.stringify(inside);
    if (drawn === this.#inside) return;
    this.#inside = drawn;
    replace(/** @type {Element} */ (this.cells[3]), ...inside.map(({ status, runs }) => tally(status, runs)));
  }

  /**
   * @param {Run} run
   * @param {Usual | null} usual
   */
  #showDuration(run, usual) {
    const taken = durationOf(run, Date.now());
    setText(this.#duration, `${duration(taken)}${run.status === "running" && taken !== null ? " …" : ""}`);
    this.#bar.hidden = usual === null || taken === null;
    const title = usual
      ? `Usually ${duration(usual.median)}: the median of ${count(usual.launches)} launches listed here`
      : null;
    setAttribute(/** @type {Element} */ (this.cells[6]), "title", title);
    if (usual === null || taken === null) return;
    setStyle(this.#bar, { "--share": Math.min(1, taken / usual.full), "--usual": usual.median / usual.full });
  }

  /** @param {Run} run */
  #showCommits({ rollup, commit_hash }) {
    const commits = rollup?.commits ?? [];
    const hash = commits[0]?.commit_hash ?? commit_hash ?? "";
    setText(this.#hash, hash.slice(0, 7));
    setText(this.#moreCommits, commits.length > 1 ? `+${commits.length - 1}` : "");
  }
}
