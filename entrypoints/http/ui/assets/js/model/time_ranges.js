/**
 * Which stretch of time a page looks at, and how it is divided. Times are milliseconds since the epoch; a zone is `UTC`
 * or the zone of this browser.
 *
 * @typedef {"day" | "night" | "7" | "14" | "30"} RangeName
 *
 * @typedef {object} Span
 * @property {number} from
 * @property {number | null} to Without it, up to now; `null` is open. It is not part of the span.
 * @property {RangeName | "custom" | "newest"} name `newest` ends with the newest launch, as nothing is more recent.
 */

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** @type {readonly RangeName[]} */
export const RANGE_NAMES = ["day", "night", "7", "14", "30"];

const DEFAULT_DAYS = 14;
/** A night lasts from this hour of one day to that of the next. */
const [DUSK, DAWN] = [18, 9];
/** Half days of a month fit, also when the month begins within one. */
const MAX_COLUMNS = 64;

/** Lengths of the columns of a histogram. The server has them begin at multiples since 1970. */
const STEPS = [
  ...[1, 2, 5, 10, 15, 20, 30].map((minutes) => minutes * MINUTE),
  ...[1, 2, 3, 4, 6, 8, 12].map((hours) => hours * HOUR),
  ...[1, 2, 4, 7, 14, 28, 91, 364].map((days) => days * DAY),
];

/**
 * Return the start of the day that an instant is in.
 *
 * @param {number} ms
 * @param {string} zone
 * @param {number} [days] How many days later.
 * @param {number} [hours] The hour of that day.
 * @returns {number}
 */
export function startOfDay(ms, zone, days = 0, hours = 0) {
  const date = new Date(ms);
  if (zone === "UTC") {
    return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate() + days, hours);
  }
  return new Date(date.getFullYear(), date.getMonth(), date.getDate() + days, hours).getTime();
}

/**
 * Return the length of columns that divide a stretch of time into at most 64.
 *
 * @param {number} length
 * @returns {number}
 */
export function columnLength(length) {
  return STEPS.find((step) => length / step <= MAX_COLUMNS) ?? Math.ceil(length / MAX_COLUMNS / DAY) * DAY;
}

/**
 * Return the stretch of time that was asked for. Without any it is the last 14 days or, if nothing happened in them,
 * the 14 days up to the newest launch.
 *
 * @param {{range: RangeName | "", from: number | null, to: number | null}} asked
 * @param {{now: number, zone: string, newest: number | null}} known `newest` is the start of the newest launch.
 * @returns {Span}
 */
export function spanOf({ range, from, to }, { now, zone, newest }) {
  if (isChosen(from, to)) return customSpan(from, to, now);
  if (range === "night") return night(now, zone);
  if (range === "" && newest !== null && newest < now - DEFAULT_DAYS * DAY) return daysUpTo(newest);
  const days = range === "day" ? 1 : Number(range) || DEFAULT_DAYS;
  const step = columnLength(days * DAY);
  return { from: Math.floor((now - days * DAY) / step) * step, to: null, name: range || "14" };
}

/**
 * Return the bounds of a stretch of time as the API takes them: it includes both.
 *
 * @param {{from: number | null, to: number | null}} span The end is not part of it.
 * @returns {{start_time_from: string | null, start_time_to: string | null}}
 */
export function boundsOf({ from, to }) {
  return {
    start_time_from: from === null ? null : new Date(from).toISOString(),
    // Times have microseconds.
    start_time_to: to === null ? null : new Date(to - 1).toISOString().replace("Z", "999Z"),
  };
}

/**
 * @param {number | null} from
 * @param {number | null} to
 */
function isChosen(from, to) {
  return from === null || to === null ? from !== to : from < to;
}

/**
 * @param {number | null} from
 * @param {number | null} to
 * @param {number} now
 * @returns {Span}
 */
function customSpan(from, to, now) {
  const begin = from ?? (to ?? now) - DEFAULT_DAYS * DAY;
  return { from: begin, to, name: "custom" };
}

/**
 * @param {number} now
 * @param {string} zone
 * @returns {Span}
 */
function night(now, zone) {
  const dawn = startOfDay(now, zone, 0, DAWN);
  return { from: startOfDay(now, zone, -1, DUSK), to: now < dawn ? null : dawn, name: "night" };
}

/**
 * @param {number} newest
 * @returns {Span}
 */
function daysUpTo(newest) {
  const length = DEFAULT_DAYS * DAY;
  const step = columnLength(length);
  const to = (Math.floor(newest / step) + 1) * step;
  return { from: to - length, to, name: "newest" };
}

/**
 * Return the instants from the first of which a scale is labelled: days, or hours of days if the stretch is short.
 *
 * @param {number} from
 * @param {number} to
 * @param {string} zone
 * @param {number} most How many there may be.
 * @returns {{at: number, isDay: boolean}[]}
 */
export function ticks(from, to, zone, most) {
  const hours = [1, 2, 3, 6, 12].find((step) => (to - from) / (step * HOUR) <= most);
  const days = hours ? 1 : Math.max(1, Math.ceil((to - from) / DAY / Math.max(1, most)));
  const found = [];
  for (let day = startOfDay(from, zone); day < to; day = startOfDay(day, zone, days)) {
    for (let hour = 0; hour < 24; hour += hours ?? 24) {
      const at = startOfDay(day, zone, 0, hour);
      if (at >= from && at < to) found.push({ at, isDay: hour === 0 });
    }
  }
  return found;
}
