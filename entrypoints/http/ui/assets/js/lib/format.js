/**
 * Numbers and times as texts. English throughout, like the page. Thin spaces group digits, so that columns stay narrow.
 *
 * An instant is a text of the API (`2026-01-31T12:00:00Z`) or milliseconds since the epoch; a zone is an IANA name.
 *
 * @typedef {string | number} Instant
 */

const THIN = "\u2009";
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/**
 * Return a duration: `480 ms`, `7.41 s`, `10.4 s`, `3m 08s`, `1h 02m`, `2d 03h`.
 *
 * @param {number | null | undefined} ms
 * @returns {string} Empty if there is none.
 */
export function duration(ms) {
  if (ms === null || ms === undefined) return "";
  if (ms < 0) return `−${duration(-ms)}`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 9995) return `${(ms / SECOND).toFixed(2)} s`;
  if (ms < 59950) return `${(ms / SECOND).toFixed(1)} s`;
  if (ms < HOUR - SECOND / 2) return pair(Math.round(ms / SECOND), 60, "m", "s");
  if (ms < DAY - MINUTE / 2) return pair(Math.round(ms / MINUTE), 60, "h", "m");
  return pair(Math.round(ms / HOUR), 24, "d", "h");
}

/**
 * @param {number} units
 * @param {number} base
 * @param {string} large
 * @param {string} small
 */
function pair(units, base, large, small) {
  return `${Math.floor(units / base)}${large} ${String(units % base).padStart(2, "0")}${small}`;
}

/**
 * Return a whole number with its digits in groups: `341`, `1164`, `9 995`, `10 000`.
 *
 * @param {number | null | undefined} n
 * @returns {string} Empty if there is none.
 */
export function count(n) {
  if (n === null || n === undefined) return "";
  return String(n).replace(/\B(?=(\d{3})+$)/g, THIN);
}

/**
 * Return a number of tokens in three digits: `1164`, `13.4 k`, `224 k`, `26.1 M`.
 *
 * @param {number | null | undefined} n
 * @returns {string} Empty if there is none.
 */
export function tokens(n) {
  if (n === null || n === undefined) return "";
  if (n < 9995) return String(Math.round(n));
  for (const [unit, size] of /** @type {[string, number][]} */ ([["k", 1e3], ["M", 1e6], ["G", 1e9]])) {
    if (n < 999.5 * size) return `${three(n / size)}${THIN}${unit}`;
  }
  return `${three(n / 1e12)}${THIN}T`;
}

/** @param {number} x At least 1. */
function three(x) {
  return x.toFixed(x < 9.995 ? 2 : x < 99.95 ? 1 : 0);
}

/**
 * Return US dollars: `$190`, `$1.93`, `$0.530`, `$0.010`, `<$0.001`, `$0`.
 *
 * @param {number | null | undefined} usd
 * @returns {string} Empty if there is none.
 */
export function cost(usd) {
  if (usd === null || usd === undefined) return "";
  if (usd < 0) return `−${cost(-usd)}`;
  if (usd === 0) return "$0";
  if (usd < 0.0005) return "<$0.001";
  if (usd < 0.9995) return `$${usd.toFixed(3)}`;
  return usd < 99.995 ? `$${usd.toFixed(2)}` : `$${count(Math.round(usd))}`;
}

/**
 * Return a number of things with its noun: `1 run`, `9 995 runs`.
 *
 * @param {number} n
 * @param {string} one
 * @param {string} [many]
 * @returns {string}
 */
export function counted(n, one, many = `${one}s`) {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/**
 * Return the milliseconds since the epoch of an instant.
 *
 * @param {Instant} instant
 * @returns {number}
 */
export function milliseconds(instant) {
  return typeof instant === "number" ? instant : Date.parse(instant);
}

/** @type {Map<string, Intl.DateTimeFormat>} Making one takes a hundred times as long as using it. */
const formats = new Map();

/**
 * @param {Instant} instant
 * @param {string} zone
 * @param {Intl.DateTimeFormatOptions} options
 * @returns {Record<string, string>} The parts, by type.
 */
function parts(instant, zone, options) {
  if (zone === "UTC") return utcParts(new Date(milliseconds(instant)), options);
  const key = `${zone} ${Object.keys(options).join()}`;
  let format = formats.get(key);
  if (!format) {
    format = new Intl.DateTimeFormat("en-GB", { ...options, timeZone: zone, hourCycle: "h23" });
    formats.set(key, format);
  }
  return Object.fromEntries(format.formatToParts(milliseconds(instant)).map(({ type, value }) => [type, value]));
}

const WEEKDAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/**
 * Return the parts in UTC. A browser's first `DateTimeFormat` takes as long as a tree of thousands of runs.
 *
 * @param {Date} date
 * @param {Intl.DateTimeFormatOptions} options
 * @returns {Record<string, string>}
 */
function utcParts(date, options) {
  const twoDigits = (/** @type {number} */ number) => String(number).padStart(2, "0");
  const month = date.getUTCMonth();
  return {
    weekday: WEEKDAYS[date.getUTCDay()] ?? "",
    day: options.day === "numeric" ? String(date.getUTCDate()) : twoDigits(date.getUTCDate()),
    month: options.month === "short" ? (MONTHS[month] ?? "") : twoDigits(month + 1),
    year: String(date.getUTCFullYear()),
    hour: twoDigits(date.getUTCHours()),
    minute: twoDigits(date.getUTCMinutes()),
    second: twoDigits(date.getUTCSeconds()),
  };
}

/** @type {Intl.DateTimeFormatOptions} */
const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit" };
/** @type {Intl.DateTimeFormatOptions} */
const DATE = { weekday: "short", day: "numeric", month: "short", year: "numeric" };
/** @type {Intl.DateTimeFormatOptions} */
const NUMERIC = { year: "numeric", month: "2-digit", day: "2-digit" };

/**
 * Return the time of day in minutes: `09:02`.
 *
 * @param {Instant} instant
 * @param {string} zone
 * @returns {string}
 */
export function time(instant, zone) {
  return clock(instant, zone).slice(0, 5);
}

/**
 * Return the time of day in seconds: `09:02:17`.
 *
 * @param {Instant} instant
 * @param {string} zone
 * @returns {string}
 */
export function clock(instant, zone) {
  const { hour, minute, second } = parts(instant, zone, CLOCK);
  return `${hour}:${minute}:${second}`;
}

/**
 * Return the day: `Sat 31 Jan`.
 *
 * @param {Instant} instant
 * @param {string} zone
 * @returns {string}
 */
export function day(instant, zone) {
  const { weekday, day: number, month } = parts(instant, zone, DATE);
  return `${weekday} ${number} ${month?.slice(0, 3)}`;
}

/**
 * Return the day and the time in minutes: `Sat 31 Jan 09:02`.
 *
 * @param {Instant} instant
 * @param {string} zone
 * @returns {string}
 */
export function moment(instant, zone) {
  return `${day(instant, zone)} ${time(instant, zone)}`;
}

/**
 * Return the day and the time in seconds: `Sat 31 Jan 2026, 09:00:00`.
 *
 * @param {Instant} instant
 * @param {string} zone
 * @returns {string}
 */
export function dateTime(instant, zone) {
  return `${day(instant, zone)} ${parts(instant, zone, DATE).year}, ${clock(instant, zone)}`;
}

/**
 * Return the day as it sorts: `2026-01-31`. Instants of the same day in this zone have the same.
 *
 * @param {Instant} instant
 * @param {string} zone
 * @returns {string}
 */
export function dayKey(instant, zone) {
  const { year, month, day: number } = parts(instant, zone, NUMERIC);
  return `${year}-${month}-${number}`;
}

/**
 * Return what a zone is called beside a time: `UTC` or `local`.
 *
 * @param {string} zone
 * @returns {string}
 */
export function zoneName(zone) {
  return zone === "UTC" ? "UTC" : "local";
}
