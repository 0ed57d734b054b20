/** One row of the launch: the run in the tree, its figures and its bar in the waterfall. */

import { clipped, el, icon, setAttribute, setIcon, setStyle, setText, svg } from "../../lib/dom.js";
import * as format from "../../lib/format.js";
import { statusName } from "../../lib/status.js";
import { shortName } from "../../model/names.js";
import { toPixels } from "../../model/time_scale.js";
import { durationOf } from "../../model/times.js";

/** @typedef {import("../../model/launch.js").View} View */
/** @typedef {import("../../model/time_scale.js").Range} Range */

/** Longest name and error in a row, in UTF-16 units; the panel has all of it. */
const MAX_TEXT = 200;
/** Room that an error needs beside its bar, in percent of the waterfall. */
const LABEL_ROOM = 18;
/** Units across the waterfall for the marks of the critical path, and the least length of a mark. */
const UNITS = 2000;
const MIN_UNITS = 3;

/**
 * What the rows show.
 *
 * @typedef {object} Scene
 * @property {View} view
 * @property {Range} range
 * @property {boolean} path whether to show the critical path
 */

/**
 * Make a row.
 *
 * @param {() => Scene} scene what to show now
 * @param {(index: number) => void} toggle called with the row to open or close
 * @returns {import("../../lib/virtual_list.js").Row}
 */
export function createRow(scene, toggle) {
  const parts = createParts();
  const element = rowElement(parts);
  let row = -1;
  parts.toggle.addEventListener("click", () => toggle(row));
  return {
    element,
    update(index) {
      row = index;
      showRun(element, parts, scene(), index);
    },
  };
}

/** @typedef {ReturnType<typeof createParts>} Parts */

function createParts() {
  const chevron = icon("chevron");
  return {
    indent: el("span", { class: "indent", "aria-hidden": "true" }),
    toggle: el("button", { class: "fold", type: "button", tabindex: -1 }, chevron),
    status: icon("success"),
    name: el("bdi", { class: "name clip" }),
    badge: el("span", { class: "badge" }),
    cost: el("span", { class: "cell number cost", role: "gridcell" }),
    duration: el("span", { class: "cell number", role: "gridcell" }),
    bar: el("i", { class: "bar" }),
    label: el("bdi", { class: "bar-label clip", "aria-hidden": "true" }),
    path: svg("path", { "vector-effect": "non-scaling-stroke" }),
  };
}

/** @param {Parts} parts */
function rowElement({ indent, toggle, status, name, badge, cost, duration, bar, label, path }) {
  const marks = svg("svg", { class: "path", viewBox: `0 0 ${UNITS} 1`, preserveAspectRatio: "none" }, path);
  setAttribute(marks, "aria-hidden", "true");
  return el(
    "div",
    { class: "launch-row" },
    el("span", { class: "cell run", role: "gridcell" }, indent, toggle, status, name, badge),
    cost,
    duration,
    el("span", { class: "cell waterfall", role: "gridcell" }, bar, marks, label),
  );
}

/**
 * @param {HTMLElement} element
 * @param {Parts} parts
 * @param {Scene} scene
 * @param {number} row
 */
function showRun(element, parts, scene, row) {
  const { view, range } = scene;
  const { launch } = view;
  const { tree } = launch;
  const index = view.rows[row];
  const run = tree.runs[index];
  setAttribute(element, "data-status", run.status);
  setAttribute(element, "aria-level", tree.depth[index] + 1);
  setStyle(parts.indent, { "--depth": tree.depth[index] });
  showFold(element, parts, view, index);
  setIcon(parts.status, run.status, statusName(run.status));
  setText(parts.name, clipped(shortName(tree, index), MAX_TEXT));
  setAttribute(parts.name, "title", clipped(run.run_id, MAX_TEXT));
  const { sum } = launch.cost;
  setText(parts.cost, Number.isNaN(sum[index]) ? "" : format.cost(sum[index]));
  setText(parts.duration, format.duration(durationOf(tree, index)));
  showKind(element, scene, index);
  showBar(parts, scene, index);
  setAttribute(parts.path, "d", scene.path ? pathMarks(view, index, range) : null);
}

/**
 * @param {HTMLElement} element
 * @param {Parts} parts
 * @param {View} view
 * @param {number} index
 */
function showFold(element, parts, view, index) {
  const { tree } = view.launch;
  const below = tree.next[index] - index - 1;
  const canOpen = below > 0 && view.canOpen(index);
  const isOpen = view.open[index] > 0;
  setAttribute(element, "aria-expanded", canOpen ? String(isOpen) : null);
  setAttribute(parts.toggle, "aria-label", isOpen ? "Close" : "Open");
  setStyle(parts.toggle, { visibility: canOpen ? "visible" : "hidden" });
  const badge = canOpen && !isOpen ? format.count(below) : "";
  setText(parts.badge, badge);
  parts.badge.hidden = badge === "";
  parts.badge.classList.toggle("problem", tree.problemsBelow[index] > 0);
}

/**
 * @param {HTMLElement} element
 * @param {Scene} scene
 * @param {number} index
 */
function showKind(element, { view: { launch }, path }, index) {
  const { tree, problems, cost, tokens } = launch;
  const { classList } = element;
  classList.toggle("strong", tree.problems[index] > 0 && problems.recovered[index] === 0);
  classList.toggle("recovered", problems.recovered[index] > 0);
  classList.toggle("model", cost.innermost[index] > 0 || tokens.innermost[index] > 0);
  classList.toggle("off-path", path && launch.path.onPath[index] === 0);
}

/**
 * @param {Parts} parts
 * @param {Scene} scene
 * @param {number} index
 */
function showBar({ bar, label }, { view: { launch }, range }, index) {
  const { tree, problems } = launch;
  const left = Math.max(0, toPixels(range, 100, tree.start[index]));
  const right = Math.min(100, toPixels(range, 100, tree.end[index]));
  bar.hidden = right < 0 || left > 100;
  setStyle(bar, { left: `${left.toFixed(3)}%`, width: `${Math.max(0, right - left).toFixed(3)}%` });
  const error = problems.unresolved[index] > 0 && !bar.hidden ? (tree.runs[index].error_summary ?? "") : "";
  const before = 100 - right < LABEL_ROOM;
  label.hidden = error === "" || (before && left < LABEL_ROOM);
  if (label.hidden) return;
  setText(label, clipped(error, MAX_TEXT));
  label.classList.toggle("before", before);
  setStyle(label, before ? { left: "0", right: `${100 - left}%` } : { left: `${right}%`, right: "0" });
}

/**
 * Draw where everything waited for a run: for itself alone if it is open, or for all that is in it.
 *
 * Marks that would touch are left out, so that a run with thousands of them stays cheap to draw.
 *
 * @param {View} view
 * @param {number} index
 * @param {Range} range
 */
function pathMarks({ launch, open }, index, range) {
  const { path, pathSegments } = launch;
  if (path.onPath[index] === 0) return null;
  const window = /** @type {[number, number]} */ ([path.windowFrom[index], path.windowTo[index]]);
  const segments = open[index] > 0 ? (pathSegments.get(index) ?? []) : [window];
  let marks = "";
  let reached = -1;
  for (const [from, to] of segments) {
    if (to < range.from || from > range.to) continue;
    const left = Math.max(0, Math.round(toPixels(range, UNITS, from)));
    const right = Math.min(UNITS, Math.max(Math.round(toPixels(range, UNITS, to)), left + MIN_UNITS));
    if (right <= reached) continue;
    marks += `M${left} .5H${right}`;
    reached = right;
  }
  return marks;
}
