/** Lists that are read page by page, the newest first, whose first page is read again when something has changed. */

/**
 * @template T
 * @typedef {object} Listed
 * @property {T[]} items
 * @property {string | null} cursor of the next page; null if there is none
 */

/**
 * @template T
 * @typedef {object} Order
 * @property {(item: T) => string} key what tells items apart
 * @property {(item: T) => number} time by which they are listed, in milliseconds since the epoch
 */

/**
 * Return a list whose first page was read again.
 *
 * The first page says what there is as far back as it reaches; what is older stays. If so much is new that nothing of
 * the first page was known, the rest would leave a gap, and the list begins anew.
 *
 * @template T
 * @param {Listed<T>} known
 * @param {Listed<T>} first
 * @param {Order<T>} order
 * @returns {Listed<T>}
 */
export function renewed(known, first, { key, time }) {
  const oldest = first.items.at(-1);
  if (oldest === undefined || first.cursor === null) return first;
  const fresh = new Set(first.items.map(key));
  if (!known.items.some((item) => fresh.has(key(item)))) return first;
  const reached = time(oldest);
  const older = known.items.filter((item) => time(item) <= reached && !fresh.has(key(item)));
  return older.length ? { items: [...first.items, ...older], cursor: known.cursor } : first;
}

/**
 * Return a list with its next page, in which nothing appears twice.
 *
 * @template T
 * @param {Listed<T>} known
 * @param {Listed<T>} next
 * @param {Order<T>} order
 * @returns {Listed<T>}
 */
export function extended(known, next, { key }) {
  const seen = new Set(known.items.map(key));
  return { items: [...known.items, ...next.items.filter((item) => !seen.has(key(item)))], cursor: next.cursor };
}
