/** The head of a launch: what it is and its figures. */

import { el, icon, outside, replace } from "../../lib/dom.js";
import * as format from "../../lib/format.js";
import { statusChip } from "../../lib/run_details.js";
import { statusName } from "../../lib/status.js";
import { href } from "../../lib/url_state.js";
import { ownFigure } from "../../model/costs.js";
import { fullName } from "../../model/names.js";

/** @typedef {import("../../model/launch.js").Launch} Launch */

/**
 * @typedef {object} More
 * @property {string} zone
 * @property {string | null} summary what the launch is for
 * @property {number | null} refused how many of its runs were refused; null if that is not known
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
    // Elements that stay the same are left alone, the one with the focus above all.
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
function facts(launch, { zone, refused }, showSection) {
  const { tree } = launch;
  const root = tree.runs[0];
  const commits = launch.commits.length;
  const zoneLabel = el("span", { class: "muted small" }, format.zoneName(zone));
  return [
    fact("Start", format.dateTime(root.start_time, zone), zoneLabel),
    fact(
      launch.isRunning ? "Running for" : "Duration",
      format.duration(root.duration_ms ?? tree.end[0] - tree.start[0]),
    ),
    fact(
      "Runs",
      format.count(tree.total),
      refused ? jump(`+${format.count(refused)} refused`, () => showSection("refusals"), "warning") : null,
    ),
    fact("Problems", ...problemTallies(launch)),
    fact("Cost", orNone(launch.cost.sum[0], format.cost), saying(launch.cost, format.cost)),
    fact("Tokens", orNone(launch.tokens.sum[0], format.tokens), saying(launch.tokens, format.tokens)),
    fact("Commits", commits > 0 ? jump(format.count(commits), () => showSection("commits")) : "none"),
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
  return el("button", { class: `jump ${kind}`, type: "button", onclick: action }, label);
}

/** @param {Launch} launch */
function problemTallies({ problemCounts }) {
  if (problemCounts.length === 0) return ["none"];
  return problemCounts.map(({ status, runs }) =>
    el("span", { class: "tally", "data-status": status }, icon(status, statusName(status)), format.count(runs)),
  );
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
 * @param {import("../../model/costs.js").Sums} sums
 * @param {(value: number) => string} write
 */
function saying(sums, write) {
  const own = ownFigure(sums, 0);
  if (Number.isNaN(own) || write(own) === write(sums.sum[0])) return null;
  const title = "The sum over the innermost runs, and what the launch reports itself";
  return el("span", { class: "muted small says", title }, `says ${write(own)}`);
}
