/** The head of a launch: what it is and its figures. */

import { button, el, outside, replace } from "../../lib/dom.js";
import * as format from "../../lib/format.js";
import { statusChip, tally } from "../../lib/run_details.js";
import { href } from "../../lib/url_state.js";
import { ownFigure } from "../../model/costs.js";
import { figuresOf } from "../../model/figures.js";
import { fullName } from "../../model/names.js";
import { durationOf } from "../../model/times.js";

/** @typedef {import("../../model/launch.js").Launch} Launch */

/**
 * @typedef {object} More
 * @property {string} zone
 * @property {string | null} summary what the launch is for
 * @property {number | null} refused how many of its runs were refused; null if that is not known
 * @property {import("../../lib/page.js").Rollup | null} rollup of the whole launch, if its tree is only a part of it
 */

export class Head {
  #showSection;
  #shown = "";
  element = el("header", { class: "page-head launch-head" });

  /** @param {(section: "refusals" | "commits") => void} showSection called to show a section of the panel */
  constructor(showSection) {
    this.#showSection = showSection;
  }

  /**
   * Elements that stay the same are left alone, the one with the focus above all.
   *
   * @param {Launch} launch
   * @param {More} more
   */
  update(launch, more) {
    const root = launch.tree.runs[0];
    const shown = JSON.stringify([
      root,
      more,
      launch.tree.total,
      launch.tree.end[0],
      launch.cost.sum[0],
      launch.problemCounts,
    ]);
    if (shown === this.#shown) return;
    this.#shown = shown;
    const status = statusChip(root.status);
    const summary = more.summary && outside(more.summary, { class: "clip" });
    const title = el("h1", { class: "clip" }, outside(fullName(root)));
    replace(
      this.element,
      el("div", { class: "launch-title" }, ...breadcrumb(root), title, status, summary, compareLink(root)),
      el("dl", { class: "facts" }, ...facts(launch, more, this.#showSection)),
    );
  }
}

/** @param {import("../../model/tree.js").TreeRun} root */
function breadcrumb({ parent_run_id: parent }) {
  const launches = el("a", { href: "./", class: "muted" }, "Launches");
  if (!parent) return [launches, separator()];
  const link = el("a", { href: href("launch", { id: parent }), class: "muted clip", title: parent }, outside(parent));
  return [launches, separator(), link, separator()];
}

/** @param {import("../../model/tree.js").TreeRun} root */
function compareLink({ run_id, event_id }) {
  const address = href("compare", { a: run_id, a_event_id: event_id });
  return el("a", { class: "button quiet compare", href: address }, "Compare…");
}

function separator() {
  return el("span", { class: "muted", "aria-hidden": "true" }, "/");
}

/**
 * @param {Launch} launch
 * @param {More} more
 * @param {(section: "refusals" | "commits") => void} showSection
 */
function facts(launch, { zone, refused, rollup }, showSection) {
  const { tree, commits } = launch;
  const root = tree.runs[0];
  const { runs, problems, cost, tokens } = figuresOf(launch, rollup);
  const lasted = format.duration(durationOf(tree, 0)) || "unknown";
  const refusals = refused ? jump(`+${format.count(refused)} refused`, () => showSection("refusals"), "warning") : null;
  return [
    fact("Start", format.dateTime(root.start_time, zone), el("span", { class: "muted small" }, format.zoneName(zone))),
    fact(launch.isRunning ? "Running for" : "Duration", lasted),
    fact("Runs", runs === null ? `over ${format.count(tree.runs.length)}` : format.count(runs), refusals),
    fact("Problems", ...tallies(problems)),
    fact("Cost", orNone(cost, format.cost), saying(launch.cost.own[0], cost, format.cost)),
    fact("Tokens", orNone(tokens, format.tokens), saying(launch.tokens.own[0], tokens, format.tokens)),
    fact("Commits", commits.length > 0 ? jump(format.count(commits.length), () => showSection("commits")) : "none"),
    root.git_branch ? fact("Branch", outside(root.git_branch, { class: "mono" })) : null,
  ];
}

/**
 * @param {string} name
 * @param {...import("../../lib/dom.js").Child} values
 */
function fact(name, ...values) {
  return el("div", null, el("dt", null, name), el("dd", null, ...values));
}

/**
 * @param {string} label
 * @param {() => void} action
 * @param {string} [kind]
 */
function jump(label, action, kind = "") {
  return button(label, action, { class: `jump ${kind}` });
}

/** @param {import("../../model/figures.js").Figures["problems"]} problems */
function tallies(problems) {
  if (problems.length === 0) return ["none"];
  return problems.map(({ status, runs }) => tally(status, runs));
}

/**
 * @param {number} value NaN for none
 * @param {(value: number) => string} write
 */
function orNone(value, write) {
  return Number.isNaN(value) ? "none" : write(value);
}

/**
 * What the launch says itself, if its innermost runs add up to something else.
 *
 * @param {number} reported
 * @param {number} sum
 * @param {(value: number) => string} write
 */
function saying(reported, sum, write) {
  const own = ownFigure(reported, sum);
  if (Number.isNaN(own) || write(own) === write(sum)) return null;
  const title = "The sum over the innermost runs, and what the launch reports itself";
  return el("span", { class: "muted small says", title }, `says ${write(own)}`);
}
