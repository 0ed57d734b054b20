/** One launch: its runs as a tree beside a waterfall, and a panel that says why it failed. */

import { apiPath } from "../lib/api.js";
import { afterPaint, el, replace, setText } from "../lib/dom.js";
import { count } from "../lib/format.js";
import { Launch, View } from "../model/launch.js";
import { fullName } from "../model/names.js";
import { findRun } from "../model/tree.js";
import { Commands } from "./launch/commands.js";
import { Head } from "./launch/head.js";
import { Minimap } from "./launch/minimap.js";
import { Panel } from "./launch/panel.js";
import { RefusalLoader, RunLoader } from "./launch/loaders.js";
import { shortcuts } from "./launch/shortcuts.js";
import { STATE, USUAL_DEPTH, foldingOf, foldingState, rangeOf } from "./launch/state.js";
import { Toolbar } from "./launch/toolbar.js";
import { TreeView } from "./launch/tree_view.js";

/** @typedef {import("./launch/state.js").State} State */
/** @typedef {import("../model/tree.js").TreeResponse} TreeResponse */
/** @typedef {import("../model/refusals.js").Refusal} Refusal */

/** @typedef {import("./launch/panel.js").Shown & {range: import("../model/time_scale.js").Range}} Beside */

/** How often the bars of open runs grow. */
const GROW_MS = 2000;

class LaunchPage {
  /** @type {TreeResponse | null} */
  #response = null;
  /** @type {Launch | null} */
  #launch = null;
  /** @type {View | null} */
  #view = null;
  /** @type {readonly Refusal[] | null} */
  #refusals = null;
  /** Of a launch of which the tree is only a part. @type {import("../lib/page.js").Rollup | null} */
  #rollup = null;
  /** What stands beside the rows. @type {Beside | null} */
  #beside = null;
  /** What is watched, and whether it was shown before. */
  #watched = "";
  #isFirst = true;
  #timer = 0;
  #context;
  #loader;
  #refusalLoader;
  #head;
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
    this.#refusalLoader = new RefusalLoader(context.api);
    const commands = new Commands(
      context,
      () => this.#view,
      (index) => this.#tree.reveal(index),
    );
    this.#toolbar = new Toolbar(commands);
    this.#minimap = new Minimap((range) => commands.zoomTo(range));
    this.#tree = new TreeView({
      select: (index) => commands.select(index),
      fold: (index, open) => commands.fold(index, open),
      zoom: (center, factor) => commands.zoomAt(center, factor),
    });
    this.#panel = new Panel(this.#loader, commands, context.say);
    this.#head = new Head((section) => {
      commands.deselect();
      this.#panel.focusSection(section);
    });
    const bar = el("div", { class: "launch-bar launch-columns" }, this.#toolbar.element, this.#minimap.element);
    const main = el("div", { class: "launch-main" }, bar, this.#tree.element);
    this.#body = el("div", { class: "launch-body" }, main, this.#panel.element);
    root.classList.add("fixed");
    context.addShortcuts(shortcuts(commands, this.#tree));
  }

  update() {
    const { id, event_id } = this.#state;
    const watched = JSON.stringify([id, event_id]);
    if (watched !== this.#watched) this.#watch(watched, id, event_id);
    else this.#show();
  }

  unmount() {
    clearInterval(this.#timer);
    this.#beside = null;
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
    this.#response = this.#launch = this.#view = this.#refusals = this.#beside = null;
    clearInterval(this.#timer);
    if (id === "") {
      this.#context.live.watch([]);
      replace(this.#root, message("No launch is named in this address.", "Choose one from the list of launches."));
      return;
    }
    replace(this.#root, message("Loading…", ""));
    const fail = () => {
      this.#response = this.#launch = this.#view = this.#beside = null;
      replace(this.#root, message(`There is no run ${id} in this store.`, "It may have been pruned."));
    };
    const parameters = { event_id };
    this.#context.live.watch([
      { path: apiPath("runs", id, "tree"), parameters, show: (body) => this.#take(body), fail },
    ]);
    this.#timer = window.setInterval(() => this.#grow(), GROW_MS);
  }

  /** @param {TreeResponse} response */
  #take(response) {
    if (this.#response && Launch.isSame(this.#response, response)) return;
    this.#response = response;
    this.#rollup = null;
    this.#setLaunch(Launch.from(response, Date.now()));
    void this.#loadRefusals();
    if (response.truncated) void this.#loadRollup();
  }

  #grow() {
    if (!this.#launch?.isRunning || document.hidden) return;
    const grown = this.#launch.at(Date.now());
    if (grown !== this.#launch) this.#setLaunch(grown);
  }

  /** @param {Launch} launch */
  #setLaunch(launch) {
    this.#launch = launch;
    if (!this.#body.isConnected) replace(this.#root, this.#head.element, this.#warning, this.#body);
    this.#show();
  }

  async #loadRollup() {
    const { id, event_id } = this.#state;
    const watched = this.#watched;
    try {
      const { body } = await this.#context.api.get(apiPath("runs", id, "rollup"), { event_id });
      if (watched !== this.#watched) return;
      this.#rollup = body;
      this.#show();
    } catch {
      // The head then has the figures of what is shown, and the page says that this is a part.
    }
  }

  async #loadRefusals() {
    try {
      const kept = await this.#refusalLoader.load();
      if (!kept || !this.#body.isConnected) return;
      this.#refusals = kept.refusals;
      const { length } = kept.refusals;
      this.#context.showRefused(length > 0 ? `${count(length)}${kept.more ? "+" : ""}` : "");
      this.#show();
    } catch {
      // The launch can be read without them, and an error that concerns everything is told by what is watched.
    }
  }

  #show() {
    const launch = this.#launch;
    if (!launch) return;
    const state = this.#state;
    const selected = state.run === "" ? -1 : findRun(launch.tree, state.run);
    if (this.#isFirst && this.#revealLinked(launch, state, selected)) return;
    const view = this.#viewOf(launch, state);
    const range = rangeOf(state, launch.tree);
    const { zone } = this.#context.preferences;
    const refusals = this.#refusals && launch.refused(this.#refusals);
    this.#showHead(launch, zone, refusals?.length ?? null);
    this.#toolbar.update(view, state);
    this.#tree.update({ view, range, path: state.path }, selected, this.#isFirst && selected >= 0);
    this.#beside = { view, range, selected, zone, refusals };
    // Figures over all runs take as long as the rows, which are what a reader waits for.
    if (this.#isFirst) afterPaint(() => this.#showBeside());
    else this.#showBeside();
    this.#isFirst = false;
  }

  #showBeside() {
    if (!this.#beside) return;
    const { view, range, selected } = this.#beside;
    this.#minimap.update(view.launch, range, selected);
    this.#panel.update(this.#beside);
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
    this.#head.update(launch, { zone, summary, refused, rollup: this.#rollup });
    this.#warning.hidden = !launch.tree.truncated;
    const whole = this.#rollup ? `${count(this.#rollup.runs)} runs` : "too many runs to show all";
    setText(
      this.#warning,
      `The launch has ${whole}. Below are the first ${count(launch.tree.runs.length)}, level by level.`,
    );
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
}

/**
 * @param {import("../model/launch.js").Choice} one
 * @param {import("../model/launch.js").Choice} other
 */
function isSameChoice(one, other) {
  const [here, there] = [one.folding, other.folding];
  if (one.onlyProblems !== other.onlyProblems || one.text !== other.text || here.depth !== there.depth) return false;
  return (
    here.changes.size === there.changes.size &&
    [...here.changes].every(([key, open]) => there.changes.get(key) === open)
  );
}

/**
 * @param {string} title
 * @param {string} hint
 */
function message(title, hint) {
  return el(
    "div",
    { class: "empty" },
    el("h1", null, title),
    el("p", null, hint, " ", el("a", { class: "link", href: "./" }, "Launches")),
  );
}

/** @type {import("../lib/page.js").Page} */
export const page = { title: "Launch", mount: (root, context) => new LaunchPage(root, context) };
