/** Compare: two launches side by side. */

import { apiPath } from "../lib/api.js";
import { button, el, replace, setAttribute, setText } from "../lib/dom.js";
import { count } from "../lib/format.js";
import { choice, launchHref, text } from "../lib/url_state.js";
import { compare } from "../model/comparison.js";
import { Launch } from "../model/launch.js";
import { nextMarked } from "../model/problems.js";
import { DEFAULT_FOLDING, fold, openRuns, reveal, rowOf, visibleRows, withAncestors } from "../model/rows.js";
import { Chooser } from "./compare/chooser.js";
import { FactsTable } from "./compare/facts.js";
import { PairList } from "./compare/pair_list.js";
import { ComparePanel } from "./compare/panel.js";
import { STATE } from "./launch/state.js";

/** @typedef {import("../lib/page.js").Context} Context */
/** @typedef {import("../model/comparison.js").Comparison} Comparison */
/** @typedef {import("./compare/chooser.js").Side} Side */
/** @typedef {import("./compare/chooser.js").Chosen} Chosen */

const SCHEMA = {
  a: text(),
  b: text(),
  /** Which run, if several have the name. */
  a_event_id: text(),
  b_event_id: text(),
  only: choice(/** @type {const} */ (["", "differences"]), ""),
  /** The key of the selected pair. */
  at: text(),
  folds: STATE.folds,
};

/** @typedef {import("../lib/url_state.js").Values<typeof SCHEMA>} State */

class ComparePage {
  #context;
  /** @type {Record<Side, Launch | null>} */
  #launches = { a: null, b: null };
  /** @type {Comparison | null} */
  #comparison = null;
  #problem = "";
  #watched = "";
  #isRevealed = false;
  #notice = el("p", { class: "notice", role: "status", hidden: true });
  #chooser;
  #facts = new FactsTable();
  #only = button([], () => this.#toggleOnly());
  #list;
  #panel;
  #body;

  /**
   * @param {HTMLElement} root
   * @param {Context} context
   */
  constructor(root, context) {
    this.#context = context;
    this.#chooser = new Chooser(context.api, (chosen) => this.#choose(chosen));
    this.#list = new PairList({
      select: (at) => this.#select(at),
      fold: (at, open) => this.#fold(at, open),
      open: (at) => this.#open(at),
    });
    this.#panel = new ComparePanel((at) => this.#jump(at));
    const swap = button(["Swap A and B", el("kbd", null, "x")], () => this.#swap());
    const others = el("a", { class: "button", href: "compare" }, "Other launches");
    const tools = el("div", { class: "filters" }, this.#only, swap, others);
    const pairs = el("div", { class: "beside" }, this.#list.element, this.#panel.element);
    this.#body = el("div", { class: "compare-body", hidden: true }, this.#facts.element, tools, pairs);
    root.classList.add("fixed");
    const head = el("div", { class: "page-head" }, el("h1", null, "Compare"));
    replace(root, head, this.#notice, this.#chooser.element, this.#body);
    context.addShortcuts(this.#shortcuts());
  }

  update() {
    const state = this.#state;
    const watched = JSON.stringify([state.a, state.a_event_id, state.b, state.b_event_id]);
    if (watched !== this.#watched) this.#watch(watched, state);
    else this.#show();
  }

  unmount() {
    this.#list.destroy();
  }

  get #state() {
    return this.#context.url.read(SCHEMA);
  }

  /** @returns {import("../lib/keyboard.js").Shortcut[]} */
  #shortcuts() {
    return [
      { keys: ["j", "ArrowDown"], label: "Next run", run: () => this.#list.move(1) },
      { keys: ["k", "ArrowUp"], label: "Previous run", run: () => this.#list.move(-1) },
      { keys: ["ArrowRight"], label: "Open", run: () => this.#list.foldActive(true) },
      { keys: ["ArrowLeft"], label: "Close, or go to the parent", run: () => this.#list.foldActive(false) },
      { keys: ["n"], label: "Next difference", run: () => this.#step(1) },
      { keys: ["p"], label: "Previous difference", run: () => this.#step(-1) },
      { keys: ["e"], label: "Differences only", run: () => this.#toggleOnly() },
      { keys: ["x"], label: "Swap the launches", run: () => this.#swap() },
      { keys: ["o", "Enter"], label: "Open the run in its launch", run: () => this.#list.openActive() },
      { keys: ["Escape"], label: "Select nothing", run: () => this.#context.url.write(SCHEMA, { at: "" }) },
    ];
  }

  /**
   * @param {string} watched
   * @param {State} state
   */
  #watch(watched, state) {
    this.#watched = watched;
    this.#launches = { a: null, b: null };
    this.#comparison = null;
    this.#problem = "";
    this.#isRevealed = false;
    const sources = [];
    if (state.a) sources.push(this.#source("a", state.a, state.a_event_id));
    if (state.b) sources.push(this.#source("b", state.b, state.b_event_id));
    this.#context.live.watch(sources);
    this.#show();
  }

  /**
   * @param {Side} side
   * @param {string} id
   * @param {string} event_id
   * @returns {import("../lib/live.js").Source}
   */
  #source(side, id, event_id) {
    return {
      path: apiPath("runs", id, "tree"),
      parameters: { event_id },
      show: (response) => {
        this.#launches[side] = Launch.from(response, Date.now());
        this.#comparison = null;
        this.#show();
      },
      fail: (error) => {
        this.#problem = `${side.toUpperCase()}: ${error.message}`;
        this.#show();
      },
    };
  }

  #show() {
    const { a, b } = this.#launches;
    const state = this.#state;
    if (a && b) this.#comparison ??= compare(a, b);
    this.#body.hidden = !this.#comparison;
    const isChoosing = !state.a || !state.b || this.#problem !== "";
    this.#chooser.element.hidden = !isChoosing;
    const { zone } = this.#context.preferences;
    const known = /** @type {import("../lib/page.js").Run | undefined} */ ((a ?? b)?.tree.runs[0]);
    if (isChoosing) this.#chooser.show({ a: state.a, b: state.b }, this.#problem, known ?? null, zone);
    if (this.#comparison) this.#showComparison(this.#comparison, state);
  }

  /**
   * @param {Comparison} comparison
   * @param {State} state
   */
  #showComparison(comparison, state) {
    const { pairs, origins, below, left, right } = comparison;
    const selected = this.#selected;
    const kept = this.#kept;
    const open = openRuns(pairs, this.#folding, origins, kept);
    const rows = visibleRows(pairs, open, kept);
    this.#facts.show(left, right, this.#context.preferences.zone);
    const row = selected < 0 ? -1 : rowOf(pairs, rows, selected);
    this.#list.show({ comparison, rows, open, kept, below }, row, !this.#isRevealed);
    this.#isRevealed = true;
    this.#panel.show(comparison, selected);
    setAttribute(this.#only, "aria-pressed", String(state.only !== ""));
    const different = pairs.runs.length - comparison.counts.same;
    replace(this.#only, `Differences only ${count(different)}`, el("kbd", null, "e"));
    const truncated = [left, right].filter(({ tree }) => tree.truncated).map(({ tree }) => tree.runs[0].run_id);
    const size = count(Math.max(left.tree.runs.length, right.tree.runs.length));
    setText(this.#notice, `Only the first ${size} runs are compared: there are more than the server returns.`);
    this.#notice.hidden = truncated.length === 0;
    this.#context.setTitle(`${left.tree.runs[0].run_id} and ${right.tree.runs[0].run_id}`);
  }

  /** What the filter leaves. */
  get #kept() {
    if (!this.#comparison || this.#state.only === "") return null;
    return withAncestors(this.#comparison.pairs, this.#comparison.differs);
  }

  get #folding() {
    return { ...DEFAULT_FOLDING, changes: this.#state.folds };
  }

  /** The selected pair, -1 for none. */
  get #selected() {
    const { at } = this.#state;
    return at && this.#comparison ? this.#comparison.pairs.runs.findIndex(({ event_id }) => event_id === at) : -1;
  }

  /** @param {number} at */
  #select(at) {
    const key = this.#comparison?.pairs.runs[at]?.event_id;
    if (key) this.#context.url.write(SCHEMA, { at: key });
  }

  /**
   * Select a pair that may be out of sight.
   *
   * @param {number} at
   */
  #jump(at) {
    if (!this.#comparison) return;
    const { pairs, origins } = this.#comparison;
    const { changes } = reveal(pairs, this.#folding, origins, this.#kept, at);
    this.#isRevealed = false;
    this.#context.url.write(SCHEMA, { at: pairs.runs[at].event_id, folds: changes });
  }

  /** @param {1 | -1} step */
  #step(step) {
    if (!this.#comparison) return;
    const next = nextMarked(this.#comparison.differs, this.#selected, step);
    if (next >= 0) this.#jump(next);
  }

  /**
   * @param {number} at
   * @param {boolean} open
   */
  #fold(at, open) {
    if (!this.#comparison) return;
    const { pairs, origins } = this.#comparison;
    const { changes } = fold(pairs, this.#folding, origins, this.#kept, at, open);
    this.#context.url.write(SCHEMA, { folds: changes, at: pairs.runs[at].event_id });
  }

  /**
   * Show a run in its launch: the second one, if it is there.
   *
   * @param {number} at
   */
  #open(at) {
    if (!this.#comparison) return;
    const { left, right, pairs } = this.#comparison;
    const isRight = pairs.right[at] >= 0;
    const { tree } = isRight ? right : left;
    const { event_id } = tree.runs[isRight ? pairs.right[at] : pairs.left[at]];
    this.#context.open(launchHref(tree.runs[0], event_id));
  }

  #toggleOnly() {
    const only = this.#state.only === "" ? "differences" : "";
    this.#isRevealed = false;
    this.#context.url.write(SCHEMA, { only }, { push: true });
  }

  #swap() {
    const { a, b, a_event_id, b_event_id } = this.#state;
    const swapped = { a: b, b: a, a_event_id: b_event_id, b_event_id: a_event_id };
    if (a && b) this.#context.url.write(SCHEMA, swapped, { push: true });
  }

  /** @param {Partial<Record<Side, Chosen>>} chosen */
  #choose({ a, b }) {
    /** @type {Partial<State>} */
    const changes = {};
    // A name that stays keeps the run that was chosen for it.
    if (a && a.id !== this.#state.a) Object.assign(changes, { a: a.id, a_event_id: a.event_id });
    if (b && b.id !== this.#state.b) Object.assign(changes, { b: b.id, b_event_id: b.event_id });
    this.#context.url.write(SCHEMA, changes, { push: true });
  }
}

/** @type {import("../lib/page.js").Page} */
export const page = { title: "Compare", mount: (root, context) => new ComparePage(root, context) };
