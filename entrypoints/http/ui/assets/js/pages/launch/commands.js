/** What a reader can do on the launch page, by key, mouse or touch. All of it only changes the address. */

import { copy } from "../../lib/run_details.js";
import { href, launchHref } from "../../lib/url_state.js";
import { nextMarked } from "../../model/problems.js";
import { clampRange, moveTo, pan, wholeRange, zoomAround } from "../../model/time_scale.js";
import { findRun } from "../../model/tree.js";
import { EVERYTHING, STATE, USUAL_DEPTH, foldingState, rangeOf, zoomState } from "./state.js";

/** @typedef {import("./state.js").State} State */
/** @typedef {import("../../model/launch.js").View} View */
/** @typedef {import("../../model/time_scale.js").Range} Range */

/** Room around a run that is zoomed to, as a share of its duration. */
const MARGIN = 0.05;

export class Commands {
  #context;
  #view;
  #reveal;

  /**
   * @param {import("../../lib/page.js").Context} context
   * @param {() => View | null} view what is shown; null before there is anything
   * @param {(index: number) => void} reveal scroll to a run that was selected
   */
  constructor(context, view, reveal) {
    this.#context = context;
    this.#view = view;
    this.#reveal = reveal;
  }

  /**
   * Select a run and bring it in sight. Back closes the details, rather than to go through all that was looked at.
   *
   * @param {number} index
   * @param {Partial<State>} [changes] of the rest of the state
   */
  select(index, changes = {}) {
    const view = this.#view();
    if (!view) return;
    const { event_id } = view.launch.tree.runs[index];
    this.#write({ ...changes, run: event_id, ...foldingState(view.revealed(index)) }, this.#state.run === "");
    this.#reveal(index);
  }

  /**
   * Select a run and bring it in sight, in the waterfall too.
   *
   * @param {number} index
   */
  jumpTo(index) {
    const view = this.#view();
    if (!view) return;
    const { tree } = view.launch;
    const stretch = { from: tree.start[index], to: tree.end[index] };
    this.select(index, zoomState(moveTo(this.#range(view), wholeRange(tree), stretch), tree));
  }

  deselect() {
    this.#write({ run: "" });
  }

  /**
   * @param {number} index
   * @param {boolean} open
   */
  fold(index, open) {
    const view = this.#view();
    if (!view) return;
    const { tree } = view.launch;
    const selected = this.#selected(view);
    const hides = !open && selected > index && selected < tree.next[index];
    const changes = foldingState(view.folded(index, open));
    this.#write(hides ? { ...changes, run: tree.runs[index].event_id } : changes, false);
  }

  /**
   * Jump to a problem.
   *
   * @param {1 | -1} step
   */
  stepProblem(step) {
    const view = this.#view();
    if (!view) return;
    const next = nextMarked(view.stops, this.#selected(view), step);
    if (next < 0) this.#context.say("There are no problems.");
    else this.jumpTo(next);
  }

  toggleProblems() {
    this.#show({ only: this.#state.only === "" ? "problems" : "" });
  }

  togglePath() {
    this.#write({ path: !this.#state.path });
  }

  clearText() {
    this.#show({ q: "" });
  }

  /**
   * Show this many levels below the launch, or the usual ones if it shows as many already.
   *
   * @param {number} depth
   */
  setDepth(depth) {
    this.#show({ depth: this.#state.depth === depth ? USUAL_DEPTH : depth, folds: new Map() });
  }

  toggleAll() {
    this.setDepth(EVERYTHING);
  }

  /**
   * @param {Range | null} range null for the whole launch
   * @param {boolean} [push]
   */
  zoomTo(range, push = true) {
    const view = this.#view();
    if (view) this.#write(zoomState(range, view.launch.tree), push);
  }

  /**
   * Zoom around the selected run if it is in sight, else around the middle.
   *
   * @param {number} factor below 1 zooms in
   */
  zoom(factor) {
    const view = this.#view();
    if (!view) return;
    const { from, to } = this.#range(view);
    const selected = this.#selected(view);
    const { start, end } = view.launch.tree;
    const middle = selected < 0 ? Number.NaN : (start[selected] + end[selected]) / 2;
    this.zoomAt(middle >= from && middle <= to ? middle : (from + to) / 2, factor);
  }

  /**
   * @param {number} center a moment, which keeps its place
   * @param {number} factor below 1 zooms in
   */
  zoomAt(center, factor) {
    const view = this.#view();
    if (view) this.zoomTo(zoomAround(this.#range(view), wholeRange(view.launch.tree), center, factor), false);
  }

  zoomToSelected() {
    const view = this.#view();
    const selected = view ? this.#selected(view) : -1;
    if (!view || selected < 0) {
      this.#context.say("Select a run to zoom to it.");
      return;
    }
    const { tree } = view.launch;
    const { start, end } = tree;
    const margin = (end[selected] - start[selected]) * MARGIN + 1;
    const range = { from: start[selected] - margin, to: end[selected] + margin };
    this.#show(zoomState(clampRange(range, wholeRange(tree)), tree));
  }

  /** @param {number} share of what is in sight; negative for earlier */
  pan(share) {
    const view = this.#view();
    if (view) this.zoomTo(pan(this.#range(view), wholeRange(view.launch.tree), share), false);
  }

  /** Open the selected run as a launch of its own, or else the parent of this one. */
  goToRun() {
    const view = this.#view();
    if (!view) return;
    const selected = this.#selected(view);
    const run = view.launch.tree.runs[Math.max(0, selected)];
    const { parent_run_id } = run;
    if (selected > 0) this.#context.open(launchHref(run));
    else if (parent_run_id) this.#context.open(href("launch", { id: parent_run_id }));
    else this.#context.say("This launch has no parent.");
  }

  copyId() {
    const view = this.#view();
    if (!view) return;
    const { run_id } = view.launch.tree.runs[Math.max(0, this.#selected(view))];
    void copy("run_id", run_id, this.#context.say);
  }

  /** @returns {State} */
  get #state() {
    return this.#context.url.read(STATE);
  }

  /** @param {View} view */
  #selected(view) {
    const { run } = this.#state;
    return run === "" ? -1 : findRun(view.launch.tree, run);
  }

  /** @param {View} view */
  #range(view) {
    return rangeOf(this.#state, view.launch.tree);
  }

  /**
   * Show something else, and keep the selected run in sight.
   *
   * @param {Partial<State>} changes
   */
  #show(changes) {
    this.#write(changes);
    const view = this.#view();
    const selected = view ? this.#selected(view) : -1;
    if (view && selected >= 0 && view.keeps(selected)) this.#reveal(selected);
  }

  /**
   * @param {Partial<State>} changes
   * @param {boolean} [push]
   */
  #write(changes, push = true) {
    this.#context.url.write(STATE, changes, { push });
  }
}
