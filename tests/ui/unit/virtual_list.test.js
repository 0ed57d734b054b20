import assert from "node:assert/strict";
import { test } from "node:test";

import { visibleRange } from "../../../entrypoints/http/ui/assets/js/lib/virtual_list.js";

test("the rows are those in sight and a few around them, and never outside the list", () => {
  for (const count of [0, 1, 10, 10_000]) {
    for (let top = -500; top < 300_000; top += 1777) {
      const [first, last] = visibleRange(top, top + 700, 28, count);
      assert.ok(first >= 0 && first <= last && last <= count);
      assert.ok(last - first <= 700 / 28 + 14);
      const inSight = [top, top + 350, top + 699].map((pixel) => Math.floor(pixel / 28));
      const missing = inSight.filter((index) => index >= 0 && index < count && (index < first || index >= last));
      assert.deepEqual(missing, [], `${count} ${top}`);
    }
  }
});

test("a list out of sight has no rows", () => {
  assert.deepEqual(visibleRange(100, 100, 28, 50), [0, 0]);
  assert.deepEqual(visibleRange(100, -50, 28, 50), [0, 0]);
  assert.deepEqual(visibleRange(9000, 9700, 28, 50), [0, 0]);
});
