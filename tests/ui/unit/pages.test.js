import assert from "node:assert/strict";
import { test } from "node:test";

import { extended, renewed } from "../../../entrypoints/http/ui/assets/js/model/pages.js";
import { randomIntegers } from "./trees.js";

/** @typedef {{id: number, at: number}} Item */

/** @type {import("../../../entrypoints/http/ui/assets/js/model/pages.js").Order<Item>} */
const ORDER = { key: (item) => String(item.id), time: (item) => item.at };

/**
 * Read a page of a list as a server would: below a cursor, which is the id of the last item.
 *
 * @param {Item[]} all the newest first
 * @param {number} limit
 * @param {string | null} [cursor]
 */
function read(all, limit, cursor = null) {
  const from = cursor === null ? 0 : all.findIndex(({ id }) => String(id) === cursor) + 1;
  const page = all.slice(from, from + limit);
  return { items: page, cursor: from + limit < all.length ? String(page.at(-1)?.id) : null };
}

/** @param {number} n Several items share each instant. */
function items(n) {
  return Array.from({ length: n }, (_, index) => ({ id: n - index, at: Math.floor((n - index) / 3) }));
}

test("whatever was added, a renewed list equals the beginning of the real one", () => {
  const integers = randomIntegers(7);
  for (let round = 0; round < 200; round++) {
    const all = items(5 + integers(60));
    const had = all.slice(integers(all.length));
    const limit = 1 + integers(12);
    let list = read(had, limit);
    for (let more = integers(4); more > 0 && list.cursor; more--) {
      list = extended(list, read(had, limit, list.cursor), ORDER);
    }
    list = renewed(list, read(all, limit), ORDER);
    assert.deepEqual(list.items, all.slice(0, list.items.length));
    while (list.cursor) list = extended(list, read(all, limit, list.cursor), ORDER);
    assert.deepEqual(list.items, all);
  }
});

test("what no longer matches within the first page disappears", () => {
  const all = items(20);
  const list = extended(read(all, 5), read(all, 5, read(all, 5).cursor), ORDER);
  const left = all.filter(({ id }) => id !== 18);
  assert.deepEqual(renewed(list, read(left, 5), ORDER).items, left.slice(0, 9));
});
