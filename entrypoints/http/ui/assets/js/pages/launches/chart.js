/** The histogram of launches and the strip of their costs, as SVG. */

import { el, replace, svg } from "../../lib/dom.js";
import { cost, count, counted, day, moment, time } from "../../lib/format.js";
import { counted as countedStatuses, isProblem, statusName } from "../../lib/status.js";
import { costScale, countScale } from "../../model/histogram.js";
import { DAY, ticks } from "../../model/time_ranges.js";

/** @typedef {import("../../model/histogram.js").Column} Column */

/** Sizes in pixels. The strip of costs lies below the columns, the labels of the time below both. */
export const PLOT = { left: 42, right: 2, top: 6, columns: 70, gap: 9, costs: 17, labels: 18 };
const HEIGHT = PLOT.top + PLOT.columns + PLOT.gap + PLOT.costs + PLOT.labels;
const BASE = PLOT.top + PLOT.columns;
const COST_BASE = BASE + PLOT.gap + PLOT.costs;
/** From one label of the time to the next, and what one needs. */
const [LABEL_WIDTH, LABEL_SPACE] = [92, 66];

/**
 * Return the pictures of these columns.
 *
 * @param {readonly Column[]} columns At least one.
 * @param {number} width In pixels.
 * @param {string} zone
 * @returns {SVGSVGElement}
 */
export function drawChart(columns, width, zone) {
  const scale = new Scale(columns, width);
  const top = countScale(Math.max(...columns.map(({ launches }) => launches)));
  const most = costScale(columns);
  return svg(
    "svg",
    { width, height: HEIGHT, role: "img", "aria-label": summary(columns, zone) },
    line(PLOT.left, PLOT.top, width),
    line(PLOT.left, BASE, width),
    label(PLOT.left - 6, PLOT.top + 4, count(top), "end"),
    label(PLOT.left - 6, BASE + 4, "0", "end"),
    ...columns.flatMap((column) => statusBars(column, scale, top)),
    most > 0 && label(PLOT.left - 6, COST_BASE, cost(most), "end"),
    ...(most > 0 ? columns.flatMap((column) => costBar(column, scale, most)) : []),
    ...timeLabels(scale, zone),
  );
}

/** Where times are. */
export class Scale {
  /**
   * @param {readonly Column[]} columns
   * @param {number} width
   */
  constructor(columns, width) {
    this.from = columns[0]?.start ?? 0;
    this.to = columns.at(-1)?.end ?? 1;
    this.width = width;
    this.plot = Math.max(1, width - PLOT.left - PLOT.right);
  }

  /**
   * @param {number} ms
   * @returns {number} In pixels from the left.
   */
  x(ms) {
    return PLOT.left + ((ms - this.from) / (this.to - this.from)) * this.plot;
  }

  /**
   * @param {number} x
   * @returns {number} A share of the plot, from 0 to 1.
   */
  share(x) {
    return Math.min(1, Math.max(0, (x - PLOT.left) / this.plot));
  }
}

/**
 * @param {Column} column
 * @param {Scale} scale
 * @param {number} top
 */
function statusBars(column, scale, top) {
  const [x, width] = place(column, scale);
  let below = 0;
  return countedStatuses(column.counts).map(({ status, runs }) => {
    const [y0, y1] = [BASE - (below / top) * PLOT.columns, BASE - ((below + runs) / top) * PLOT.columns];
    below += runs;
    const height = Math.max(1, y0 - y1 - (y0 - y1 > 4 ? 1 : 0));
    return svg("rect", { "data-status": status, x, y: y0 - height, width, height });
  });
}

/**
 * @param {Column} column
 * @param {Scale} scale
 * @param {number} most
 */
function costBar(column, scale, most) {
  if (!column.cost || column.cost < 0) return [];
  const [x, width] = place(column, scale);
  const isOutlier = column.cost > most;
  const height = Math.max(1, Math.min(1, column.cost / most) * (PLOT.costs - 6));
  const bars = [svg("rect", { class: "cost", x, y: COST_BASE - height, width, height })];
  // It goes on beyond the gap, and says how far.
  if (!isOutlier) return bars;
  const end = x > scale.width - 40;
  const middle = end ? scale.width - PLOT.right : x + width / 2;
  return [
    ...bars,
    svg("rect", { class: "cost", x, y: COST_BASE - PLOT.costs + 2, width, height: 2 }),
    label(middle, COST_BASE - PLOT.costs, cost(column.cost), end ? "end" : "middle"),
  ];
}

/**
 * @param {Column} column
 * @param {Scale} scale
 * @returns {[number, number]} Where it begins and how wide it is.
 */
function place(column, scale) {
  const [x0, x1] = [Math.round(scale.x(column.start)), Math.round(scale.x(column.end))];
  return [x0, Math.max(1, x1 - x0 - (x1 - x0 > 3 ? 1 : 0))];
}

/**
 * @param {Scale} scale
 * @param {string} zone
 */
function timeLabels(scale, zone) {
  const isShort = scale.to - scale.from <= 2 * DAY;
  return ticks(scale.from, scale.to, zone, Math.floor(scale.plot / LABEL_WIDTH))
    .filter(({ at, isDay }) => (isDay || isShort) && scale.x(at) <= scale.width - LABEL_SPACE)
    .map(({ at, isDay }) => label(scale.x(at), HEIGHT - 4, isDay ? day(at, zone) : time(at, zone), "start"));
}

/**
 * @param {number} x
 * @param {number} y
 * @param {string} text
 * @param {"start" | "middle" | "end"} anchor
 */
function label(x, y, text, anchor) {
  return svg("text", { x: Math.round(x), y, "text-anchor": anchor }, text);
}

/**
 * @param {number} x
 * @param {number} y
 * @param {number} width
 */
function line(x, y, width) {
  return svg("line", { x1: x, x2: width - PLOT.right, y1: y + 0.5, y2: y + 0.5 });
}

/**
 * @param {readonly Column[]} columns
 * @param {string} zone
 */
function summary(columns, zone) {
  const launches = columns.reduce((sum, column) => sum + column.launches, 0);
  const most = columns.reduce((a, b) => (problems(b) > problems(a) ? b : a));
  const worst = problems(most) ? `; most problems: ${describe(most, zone)}` : "";
  return `Launches over time by status, and their cost: ${counted(launches, "launch", "launches")}${worst}`;
}

/** @param {Column} column */
function problems({ counts }) {
  return countedStatuses(counts).reduce((sum, { status, runs }) => sum + (isProblem(status) ? runs : 0), 0);
}

/**
 * Return what a column, or several in one, says.
 *
 * @param {Column} column
 * @param {string} zone
 * @returns {string}
 */
export function describe({ start, end, counts, launches, cost: usd }, zone) {
  const [from, to] = [day(start, zone), day(end, zone)];
  const times = `${from} ${time(start, zone)} – ${from === to ? "" : `${to} `}${time(end, zone)}`;
  const statuses = countedStatuses(counts).map(({ status, runs }) => `${count(runs)} ${statusName(status)}`);
  return [times, counted(launches, "launch", "launches"), ...statuses, ...(usd === null ? [] : [cost(usd)])].join(", ");
}

/**
 * Return the same figures as a table.
 *
 * @param {readonly Column[]} columns
 * @param {string} zone
 * @returns {HTMLTableElement}
 */
export function figuresTable(columns, zone) {
  const body = el("tbody");
  const head = ["Time", "Launches", "Statuses", "Cost"].map((name) => el("th", { scope: "col" }, name));
  const rows = columns.filter(({ launches }) => launches).map((column) => figuresRow(column, zone));
  replace(body, ...rows);
  return el(
    "table",
    null,
    el("caption", null, "Launches over time"),
    el("thead", null, el("tr", null, ...head)),
    body,
  );
}

/**
 * @param {Column} column
 * @param {string} zone
 */
function figuresRow({ start, counts, launches, cost: usd }, zone) {
  const statuses = countedStatuses(counts).map(({ status, runs }) => `${count(runs)} ${statusName(status)}`);
  return el(
    "tr",
    null,
    el("th", { scope: "row" }, moment(start, zone)),
    el("td", null, count(launches)),
    el("td", null, statuses.join(", ")),
    el("td", null, cost(usd)),
  );
}
