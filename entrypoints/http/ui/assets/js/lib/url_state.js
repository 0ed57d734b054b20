/**
 * The state of a page, all of it in the query string, so that Back, reload and a copied link give the same page.
 *
 * A page declares a schema once, such as `{ status: choices(STATUSES), limit: integer(100), q: text() }`, reads it with
 * `url.read(schema)` in `update()`, and changes it with `url.write(schema, { q: "…" })`, after which its `update()` is
 * called. A value equal to its default is left out of the address. An invalid one reads as the default, so an address
 * edited by hand never breaks a page.
 *
 * @template T
 * @typedef {object} Codec
 * @property {(values: string[]) => T} read From the values of the parameter, in order.
 * @property {(value: T) => string[]} write Empty if it is the default.
 */

/** @typedef {Record<string, Codec<any>>} Schema */

/**
 * @template {Schema} S
 * @typedef {{ [K in keyof S]: S[K] extends Codec<infer T> ? T : never }} Values
 */

/**
 * A text.
 *
 * @param {string} [fallback]
 * @returns {Codec<string>}
 */
export function text(fallback = "") {
  return {
    read: ([value]) => value ?? fallback,
    write: (value) => (value === fallback ? [] : [value]),
  };
}

/**
 * A whole number within bounds.
 *
 * @param {number} fallback
 * @param {{min?: number, max?: number}} [bounds]
 * @returns {Codec<number>}
 */
export function integer(fallback, { min = 0, max = Number.MAX_SAFE_INTEGER } = {}) {
  return {
    read: ([value]) => {
      const number = value !== undefined && /^-?\d{1,16}$/.test(value) ? Number(value) : NaN;
      return number >= min && number <= max ? number : fallback;
    },
    write: (value) => (value === fallback ? [] : [String(value)]),
  };
}

/**
 * Yes or no: `path=1`.
 *
 * @returns {Codec<boolean>}
 */
export function flag() {
  return {
    read: ([value]) => value === "1",
    write: (value) => (value ? ["1"] : []),
  };
}

/**
 * One of a few words.
 *
 * @template {string} T
 * @param {readonly T[]} allowed
 * @param {T} fallback
 * @returns {Codec<T>}
 */
export function choice(allowed, fallback) {
  return {
    read: ([value]) => allowed.find((word) => word === value) ?? fallback,
    write: (value) => (value === fallback ? [] : [value]),
  };
}

/**
 * Any of a few words, in their order: `status=failure,timeout`.
 *
 * @template {string} T
 * @param {readonly T[]} allowed
 * @returns {Codec<T[]>}
 */
export function choices(allowed) {
  return {
    read: (values) => {
      const chosen = values.flatMap((value) => value.split(","));
      return allowed.filter((word) => chosen.includes(word));
    },
    write: (words) => (words.length ? [allowed.filter((word) => words.includes(word)).join(",")] : []),
  };
}

/**
 * A range of whole numbers, such as milliseconds: `z=100-2500`. `null` is none.
 *
 * @returns {Codec<[number, number] | null>}
 */
export function range() {
  return {
    read: ([value]) => {
      const found = /^(\d{1,15})-(\d{1,15})$/.exec(value ?? "");
      const [from, to] = found ? [Number(found[1]), Number(found[2])] : [0, 0];
      return from < to ? [from, to] : null;
    },
    write: (value) => (value ? [`${Math.round(value[0])}-${Math.round(value[1])}`] : []),
  };
}

/**
 * An instant in milliseconds since the epoch, written in UTC: `from=2026-01-31T12:00:00Z`. `null` is none.
 *
 * @returns {Codec<number | null>}
 */
export function instant() {
  return {
    read: ([value]) => {
      const ms = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?Z$/.test(value ?? "") ? Date.parse(value ?? "") : NaN;
      return Number.isNaN(ms) ? null : ms;
    },
    write: (value) => (value === null ? [] : [new Date(value).toISOString().replace(/(:00)?\.000Z$/, "Z")]),
  };
}

/**
 * Return the values of a query string.
 *
 * @template {Schema} S
 * @param {S} schema
 * @param {string} search
 * @returns {Values<S>}
 */
export function readQuery(schema, search) {
  const given = new URLSearchParams(search);
  return /** @type {Values<S>} */ (
    Object.fromEntries(Object.entries(schema).map(([name, codec]) => [name, codec.read(given.getAll(name))]))
  );
}

/**
 * Return a query string with the changed values, empty or with its question mark. Parameters outside the schema stay.
 *
 * @template {Schema} S
 * @param {S} schema
 * @param {string} search
 * @param {Partial<Values<S>>} changes
 * @returns {string}
 */
export function changedQuery(schema, search, changes) {
  const query = new URLSearchParams(search);
  for (const [name, value] of Object.entries(changes)) {
    query.delete(name);
    for (const written of schema[name]?.write(value) ?? []) query.append(name, written);
  }
  return query.size ? `?${query}` : "";
}

/**
 * Return a relative address of a page: `launch?id=a%2Fb`. The page without a name is that of launches.
 *
 * @param {string} page
 * @param {Record<string, string | number | null | undefined>} [parameters] Without those that are empty.
 * @returns {string}
 */
export function href(page, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined && value !== "") query.append(name, String(value));
  }
  return `${page || "./"}${query.size ? `?${query}` : ""}`;
}

/**
 * Return the address of a launch, or of a run in it.
 *
 * @param {{run_id: string, event_id: string}} launch
 * @param {string} [run] its `event_id`
 * @returns {string}
 */
export function launchHref({ run_id, event_id }, run) {
  return href("launch", { id: run_id, event_id, run });
}

/** The query string of the window. */
export class UrlState {
  #changed;

  /** @param {() => void} changed Called after every change by `write`. */
  constructor(changed) {
    this.#changed = changed;
  }

  /**
   * Return the state.
   *
   * @template {Schema} S
   * @param {S} schema
   * @returns {Values<S>}
   */
  read(schema) {
    return readQuery(schema, location.search);
  }

  /**
   * Change the state; the page's `update()` follows at once, unless nothing changed.
   *
   * @template {Schema} S
   * @param {S} schema
   * @param {Partial<Values<S>>} changes
   * @param {{push?: boolean}} [how] `push` adds a step for Back: for what a person chose, not for every step of a drag.
   */
  write(schema, changes, { push = false } = {}) {
    const search = changedQuery(schema, location.search, changes);
    if (search === location.search) return;
    const address = location.pathname + search;
    if (push) history.pushState(null, "", address);
    else history.replaceState(null, "", address);
    this.#changed();
  }
}
