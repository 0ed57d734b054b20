/** One launch: its runs as a tree beside a waterfall, and a panel that says why it failed. */

import { apiPath } from "../lib/api.js";
import { el, replace } from "../lib/dom.js";
import { count } from "../lib/format.js";
import { copy } from "../lib/run_details.js";
import { href } from "../lib/url_state.js";
import { Launch, View } from "../model/launch.js";
import { fullName } from "../model/names.js";
import { nextMarked } from "../model/problems.js";
import { refusalsOf } from "../model/refusals.js";
import { clampRange, isWhole, pan, wholeRange, zoomAround } from "../model/time_scale.js";
import { findRun } from "../model/tree.js";
import { showFacts } from "./launch/facts.js";
import { Minimap } from "./launch/minimap.js";
import { Panel } from "./launch/panel.js";
import { RunLoader } from "./launch/run_loader.js";
import { shortcuts } from "./launch/shortcuts.js";
import { EVERYTHING, STATE, USUAL_DEPTH, foldingOf, foldingState } from "./launch/state.js";
import { Toolbar } from "./launch/toolbar.js";
import { TreeView } from "./launch/tree_view.js";

/** @typedef {import("./launch/state.js").State} State */
/** @typedef {import("../model/tree.js").TreeResponse} TreeResponse */
/** @typedef {import("../model/refusals.js").Refusal} Refusal */
/** @typedef {import("../model/time_scale.js").Range} Range */

/** How often the bars of open runs grow. */
const GROW_MS = 2000;
/** How many of the newest refusals are searched for those of this launch. */
const REFUSALS = 200;
/** Room around a run that is zoomed to, as a share of its duration. */
const MARGIN = 0.05;

class LaunchPage {
  /** @type {TreeResponse | null} */
  #response = null;
  /** @type {Launch | null} */
  #launch = null;
  /** @type {View | null} */
  #view = null;
  /** @type {readonly Refusal[] | null} */
  #refusals = null;
  /** What is watched, and whether it was shown before. */
  #watched = "";
  #isFirst = true;
  #timer = 0;
  #context;
  #loader;
  #head = el("header", { class: "page-head launch-head" });
  #warning = el("p", { class: "notice", role: "status", hidden: true });
  #body;
  #toolbar;
  #minimap;
  #tree;
  #panel;
  #root;

  /**
   * @param {HTMLElement} root
   * @param {import("../lib/page.js").Context} context
   */
  constructor(root, context) {
    this.#root = root;
    this.#context = context;
    this.#loader = new RunLoader(context.api);
    this.#toolbar = new Toolbar({
      toggleProblems: () => this.#toggleProblems(),
      togglePath: () => this.#write({ path: !this.#state.path }),
      setDepth: (depth) => this.#setDepth(depth),
      clearText: () => this.#write({ q: "" }),
      resetZoom: () => this.#zoomTo(null),
    });
    this.#minimap = new Minimap((range) => this.#zoomTo(range));
    this.#tree = new TreeView({
      select: (index) => this.#select(index),
      fold: (index, open) => this.#fold(index, open),
      zoom: (range, center, factor) => this.#zoomTo(zoomAround(range, this.#whole, center, factor), false),
    });
    this.#panel = new Panel(this.#loader, {
      select: (index) => this.#select(index),
      close: () => this.#write({ run: "" }),
      stepProblem: (step) => this.#stepProblem(step),
      say: context.say,
    });
    const bar = el("div", { class: "launch-bar launch-columns" }, this.#toolbar.element, this.#minimap.element);
    const main = el("div", { class: "launch-main" }, bar, this.#tree.element);
    this.#body = el("div", { class: "launch-body" }, main, this.#panel.element);
    root.classList.add("fixed");
    context.addShortcuts(shortcuts(this.#keyActions()));
  }

  update() {
    const { id, event_id } = this.#state;
    const watched = JSON.stringify([id, event_id]);
    if (watched !== this.#watched) this.#watch(watched, id, event_id);
    else this.#show();
  }

  unmount() {
    clearInterval(this.#timer);
    this.#tree.destroy();
    this.#panel.destroy();
  }

  get #state() {
    return this.#context.url.read(STATE);
  }

  /**
   * @param {string} watched
   * @param {string} id
   * @param {string} event_id
   */
  #watch(watched, id, event_id) {
    this.#watched = watched;
    this.#isFirst = true;
    this.#response = this.#launch = this.#view = this.#refusals = null;
    clearInterval(this.#timer);
    if (id === "") {
      this.#context.live.stop();
      replace(this.#root, message("No launch is named in this address.", "Choose one from the list of launches."));
      return;
    }
    replace(this.#root, message("Loading…", ""));
    const fail = () => replace(this.#root, message(`There is no run ${id} in this store.`, "It may have been pruned."));
    this.#context.live.watch([
      { path: apiPath("runs", id, "tree"), parameters: { event_id }, show: (body) => this.#take(body), fail },
      {
        path: "refusals",
        parameters: { limit: REFUSALS },
        show: (body) => this.#takeRefusals(body.refusals, body.next_cursor !== null),
        // A server that keeps none has nothing to say about them.
        fail: () => this.#takeRefusals([], false),
      },
    ]);
    this.#timer = window.setInterval(() => this.#grow(), GROW_MS);
  }

  /** @param {TreeResponse} response */
  #take(response) {
    if (this.#response && Launch.isSame(this.#response, response)) return;
    this.#response = response;
    this.#setLaunch(Launch.from(response, Date.now()));
  }

  #grow() {
    if (this.#launch?.isRunning && !document.hidden) this.#setLaunch(this.#launch.at(Date.now()));
  }

  /** @param {Launch} launch */
  #setLaunch(launch) {
    this.#launch = launch;
    if (!this.#body.isConnected) replace(this.#root, this.#head, this.#warning, this.#body);
    this.#show();
  }

  /**
   * @param {Refusal[]} refusals
   * @param {boolean} more
   */
  #takeRefusals(refusals, more) {
    this.#refusals = refusals;
    this.#context.showRefused(refusals.length > 0 ? `${count(refusals.length)}${more ? "+" : ""}` : "");
    this.#show();
  }

  #show() {
    const launch = this.#launch;
    if (!launch) return;
    const state = this.#state;
    const selected = state.run === "" ? -1 : findRun(launch.tree, state.run);
    if (this.#isFirst && this.#revealLinked(launch, state, selected)) return;
    const view = this.#viewOf(launch, state);
    const range = this.#range;
    const { zone } = this.#context.preferences;
    const refusals = this.#refusals && refusalsOf(launch.tree, this.#refusals);
    this.#showHead(launch, zone, refusals?.length ?? null);
    this.#toolbar.update(view, state);
    this.#minimap.update(launch, range, selected);
    this.#tree.update({ view, range, path: state.path }, selected, this.#isFirst && selected >= 0);
    this.#panel.update({ view, selected, zone, refusals });
    this.#isFirst = false;
  }

  /**
   * Bring the run that a link from elsewhere names in sight; an address of this page says itself what is open.
   *
   * @param {Launch} launch
   * @param {State} state
   * @param {number} selected
   * @returns {boolean} whether the address changed, after which everything is shown again
   */
  #revealLinked(launch, state, selected) {
    if (selected < 0 || state.folds.size > 0 || state.depth !== USUAL_DEPTH || state.only !== "" || state.q !== "") {
      return false;
    }
    const folding = this.#viewOf(launch, state).revealed(selected);
    if (folding.changes.size === 0) return false;
    this.#context.url.write(STATE, foldingState(folding));
    return true;
  }

  /**
   * @param {Launch} launch
   * @param {string} zone
   * @param {number | null} refused
   */
  #showHead(launch, zone, refused) {
    const root = launch.tree.runs[0];
    this.#context.setTitle(fullName(root));
    const summary = this.#loader.known(root)?.input_summary ?? root.item_name ?? null;
    showFacts(this.#head, launch, { zone, summary, refused }, {
      showRefused: () => this.#showSection("refusals"),
      showCommits: () => this.#showSection("commits"),
    });
    const { truncated, total, runs } = launch.tree;
    this.#warning.hidden = !truncated;
    const whole = total === null ? "more runs than the server reads at once" : `${count(total)} runs`;
    this.#warning.textContent = truncated
      ? `The launch has ${whole}. These are the first ${count(runs.length)}, level by level; sums and causes are theirs.`
      : "";
    if (!this.#loader.known(root)) void this.#loadSummary(root);
  }

  /** @param {import("../model/tree.js").TreeRun} root */
  async #loadSummary(root) {
    try {
      if (await this.#loader.load(root)) this.#show();
    } catch {
      // The head does without it.
    }
  }

  /**
   * @param {Launch} launch
   * @param {State} state
   */
  #viewOf(launch, state) {
    const choice = { onlyProblems: state.only === "problems", text: state.q, folding: foldingOf(state) };
    const isSame = this.#view?.launch === launch && isSameChoice(this.#view.choice, choice);
    if (!isSame) this.#view = new View(launch, choice);
    return /** @type {View} */ (this.#view);
  }

  /** @returns {Range} */
  get #whole() {
    return wholeRange(/** @type {Launch} */ (this.#launch).tree);
  }

  /** @returns {Range} */
  get #range() {
    const { z } = this.#state;
    const whole = this.#whole;
    return z === null ? whole : clampRange({ from: z[0] + whole.from, to: z[1] + whole.from }, whole);
  }

  get #selected() {
    const { run } = this.#state;
    return run === "" || !this.#launch ? -1 : findRun(this.#launch.tree, run);
  }

  /**
   * @param {Partial<State>} changes
   * @param {boolean} [push]
   */
  #write(changes, push = true) {
    this.#context.url.write(STATE, changes, { push });
  }

  /**
   * Select a run and bring it in sight. Back closes the details, rather than to go through all that was looked at.
   *
   * @param {number} index
   */
  #select(index) {
    if (!this.#launch || !this.#view) return;
    const { event_id } = this.#launch.tree.runs[index];
    const isFirst = this.#state.run === "";
    this.#write({ run: event_id, ...foldingState(this.#view.revealed(index)) }, isFirst);
    this.#tree.update({ view: /** @type {View} */ (this.#view), range: this.#range, path: this.#state.path }, index, true);
  }

  /**
   * @param {number} index
   * @param {boolean} open
   */
  #fold(index, open) {
    if (!this.#view) return;
    const { tree } = this.#view.launch;
    const selected = this.#selected;
    const hides = !open && selected > index && selected < tree.next[index];
    const changes = foldingState(this.#view.folded(index, open));
    this.#write(hides ? { ...changes, run: tree.runs[index].event_id } : changes, false);
  }

  /** @param {1 | -1} step */
  #stepProblem(step) {
    if (!this.#view) return;
    const next = nextMarked(this.#view.stops, this.#selected, step);
    if (next >= 0) this.#select(next);
    else this.#context.say("There are no problems.");
  }

  #toggleProblems() {
    this.#write({ only: this.#state.only === "" ? "problems" : "", folds: new Map() });
  }

  /** @param {number} depth */
  #setDepth(depth) {
    this.#write({ depth: this.#state.depth === depth ? USUAL_DEPTH : depth, folds: new Map() });
  }

  /**
   * @param {Range | null} range null for the whole launch
   * @param {boolean} [push]
   */
  #zoomTo(range, push = true) {
    if (!this.#launch) return;
    const { from } = this.#whole;
    const z = range && !isWhole(range, this.#whole) ? /** @type {[number, number]} */ ([range.from - from, range.to - from]) : null;
    this.#write({ z }, push);
  }

  /** @param {number} factor */
  #zoom(factor) {
    if (!this.#launch) return;
    const range = this.#range;
    const selected = this.#selected;
    const { start, end } = this.#launch.tree;
    const middle = selected < 0 ? Number.NaN : (start[selected] + end[selected]) / 2;
    const isInSight = middle >= range.from && middle <= range.to;
    this.#zoomTo(zoomAround(range, this.#whole, isInSight ? middle : (range.from + range.to) / 2, factor), false);
  }

  #zoomToSelected() {
    const selected = this.#selected;
    if (!this.#launch || selected < 0) {
      this.#context.say("Select a run to zoom to it.");
      return;
    }
    const { start, end } = this.#launch.tree;
    const margin = (end[selected] - start[selected]) * MARGIN + 1;
    this.#zoomTo(clampRange({ from: start[selected] - margin, to: end[selected] + margin }, this.#whole));
  }

  #goToRun() {
    if (!this.#launch) return;
    const { runs } = this.#launch.tree;
    const selected = this.#selected;
    const { run_id, event_id, parent_run_id } = runs[Math.max(0, selected)];
    if (selected > 0) this.#context.open(href("launch", { id: run_id, event_id }));
    else if (parent_run_id) this.#context.open(href("launch", { id: parent_run_id }));
    else this.#context.say("This launch has no parent.");
  }

  /** @param {string} name */
  #showSection(name) {
    this.#write({ run: "" });
    this.#panel.focusSection(name);
  }

  #copyId() {
    const run = this.#launch?.tree.runs[Math.max(0, this.#selected)];
    if (run) void copy("run_id", run.run_id, this.#context.say);
  }

  /** @returns {import("./launch/shortcuts.js").Actions} */
  #keyActions() {
    return {
      move: (rows) => this.#launch && this.#tree.move(rows),
      stepProblem: (step) => this.#stepProblem(step),
      openSelected: () => this.#launch && this.#tree.expand(this.#tree.active),
      closeSelected: () => this.#launch && this.#tree.collapse(this.#tree.active),
      toggleProblems: () => this.#toggleProblems(),
      togglePath: () => this.#write({ path: !this.#state.path }),
      setDepth: (depth) => this.#setDepth(depth),
      toggleAll: () => this.#setDepth(EVERYTHING),
      zoomToSelected: () => this.#zoomToSelected(),
      resetZoom: () => this.#zoomTo(null),
      zoom: (factor) => this.#zoom(factor),
      pan: (share) => this.#launch && this.#zoomTo(pan(this.#range, this.#whole, share), false),
      goToRun: () => this.#goToRun(),
      copyId: () => this.#copyId(),
      escape: () => this.#write({ run: "" }),
    };
  }
}

/**
 * @param {import("../model/launch.js").Choice} one
 * @param {import("../model/launch.js").Choice} other
 */
function isSameChoice(one, other) {
  const [here, there] = [one.folding, other.folding];
  if (one.onlyProblems !== other.onlyProblems || one.text !== other.text || here.depth !== there.depth) return false;
  return here.changes.size === there.changes.size && [...here.changes].every(([key, open]) => there.changes.get(key) === open);
}

/**
 * @param {string} title
 * @param {string} hint
 */
function message(title, hint) {
  return el("div", { class: "empty" }, el("h1", null, title), el("p", null, hint, " ", el("a", { class: "link", href: "./" }, "Launches")));
}

/** @type {import("../lib/page.js").Page} */
export const page = {
  title: "Launch",
  mount(root, context) {
    const shown = new LaunchPage(root, context);
    return { update: () => shown.update(), unmount: () => shown.unmount() };
  },
};
