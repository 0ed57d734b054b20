/** A stretch of time on a stretch of screen: positions, ticks, zoom and pan. */

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Distances between ticks that are easy to read, in milliseconds. */
const STEPS = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500],
  ...[1, 2, 5, 10, 15, 30].map((count) => count * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((count) => count * MINUTE),
  ...[1, 2, 3, 6, 12].map((count) => count * HOUR),
];

/** The shortest stretch that a reader can zoom in to, in milliseconds. */
export const MIN_SPAN = 2;

/**
 * A stretch of time, in milliseconds since the start of the launch.
 *
 * @typedef {object} Range
 * @property {number} from
 * @property {number} to greater than `from`
 */

/**
 * Return the stretch that the whole launch takes, never an empty one.
 *
 * @param {{ first: number, last: number }} tree
 * @returns {Range}
 */
export function wholeRange(tree) {
  return { from: tree.first, to: Math.max(tree.last, tree.first + MIN_SPAN) };
}

/**
 * Fit a stretch into the whole: shifted rather than cut, and neither longer than the whole nor too short to show.
 *
 * @param {Range} range
 * @param {Range} whole
 * @returns {Range}
 */
export function clampRange(range, whole) {
  const length = Math.min(Math.max(range.to - range.from, MIN_SPAN), whole.to - whole.from);
  const from = Math.min(Math.max(range.from, whole.from), whole.to - length);
  return { from, to: from + length };
}

/**
 * Zoom around a moment, which keeps its place.
 *
 * @param {Range} range
 * @param {Range} whole
 * @param {number} center
 * @param {number} factor below 1 zooms in
 * @returns {Range}
 */
export function zoomAround(range, whole, center, factor) {
  const length = Math.max((range.to - range.from) * factor, MIN_SPAN);
  const share = (center - range.from) / (range.to - range.from);
  const from = center - share * length;
  return clampRange({ from, to: from + length }, whole);
}

/**
 * Move by a share of what is in sight.
 *
 * @param {Range} range
 * @param {Range} whole
 * @param {number} share negative for earlier
 * @returns {Range}
 */
export function pan(range, whole, share) {
  const distance = (range.to - range.from) * share;
  return clampRange({ from: range.from + distance, to: range.to + distance }, whole);
}

/**
 * Move a stretch, without changing its length, so that it shows another one in its middle, unless it shows some of it.
 *
 * @param {Range} range
 * @param {Range} whole
 * @param {Range} shown within the whole; may be empty
 * @returns {Range}
 */
export function moveTo(range, whole, shown) {
  if (shown.from <= range.to && shown.to >= range.from) return range;
  const distance = (shown.from + shown.to - range.from - range.to) / 2;
  return clampRange({ from: range.from + distance, to: range.to + distance }, whole);
}

/**
 * Say whether a stretch is all there is.
 *
 * @param {Range} range
 * @param {Range} whole
 */
export function isWhole(range, whole) {
  return range.from <= whole.from && range.to >= whole.to;
}

/**
 * Return the position of a moment, in pixels from the left.
 *
 * @param {Range} range
 * @param {number} width pixels
 * @param {number} time
 */
export function toPixels(range, width, time) {
  return ((time - range.from) / (range.to - range.from)) * width;
}

/**
 * Return the moment at a position.
 *
 * @param {Range} range
 * @param {number} width pixels
 * @param {number} pixels from the left
 */
export function toTime(range, width, pixels) {
  return range.from + (pixels / width) * (range.to - range.from);
}

/**
 * @typedef {object} Tick
 * @property {number} time milliseconds since the start of the launch
 * @property {string} label
 */

/**
 * Place ticks at round times.
 *
 * @param {Range} range
 * @param {number} most how many there may be, at least 1
 * @returns {Tick[]} ascending
 */
export function ticks(range, most) {
  const step = tickStep((range.to - range.from) / most);
  const found = [];
  for (let count = Math.ceil(range.from / step); count * step <= range.to && found.length < most; count++) {
    found.push({ time: count * step, label: tickLabel(count * step, step) });
  }
  return found;
}

/** @param {number} least milliseconds */
function tickStep(least) {
  const step = STEPS.find((candidate) => candidate >= least);
  if (step !== undefined) return step;
  const power = 10 ** Math.floor(Math.log10(least / DAY));
  const days = [1, 2, 5, 10].find((count) => count * power * DAY >= least) ?? 10;
  return days * Math.max(power, 1) * DAY;
}

/**
 * Name a moment since the start: `0`, `250 ms`, `30s`, `1:30`, `2:00:00`, `3d`.
 *
 * @param {number} time milliseconds
 * @param {number} step distance between the ticks, in milliseconds
 */
function tickLabel(time, step) {
  if (time === 0) return "0";
  const sign = time < 0 ? "−" : "";
  const distance = Math.abs(time);
  if (distance < SECOND) return `${sign}${distance} ms`;
  if (distance < MINUTE) return `${sign}${distance / SECOND}s`;
  if (step >= DAY) return `${sign}${distance / DAY}d`;
  return sign + clockLabel(distance);
}

/** @param {number} distance */
function clockLabel(distance) {
  const hours = Math.floor(distance / HOUR);
  const minutes = Math.floor((distance % HOUR) / MINUTE);
  const seconds = String(Math.floor((distance % MINUTE) / SECOND)).padStart(2, "0");
  const decimals = distance % SECOND === 0 ? "" : (distance / SECOND).toFixed(3).replace(/^\d+/, "").replace(/0+$/, "");
  if (hours === 0) return `${minutes}:${seconds}${decimals}`;
  return `${hours}:${String(minutes).padStart(2, "0")}:${seconds}${decimals}`;
}
