import assert from "node:assert/strict";
import { test } from "node:test";

import {
  MIN_SPAN,
  clampRange,
  isWhole,
  moveTo,
  pan,
  ticks,
  toPixels,
  toTime,
  wholeRange,
  zoomAround,
} from "../../../entrypoints/http/ui/assets/js/model/time_scale.js";
import { randomIntegers } from "./trees.js";

const WHOLE = { from: 0, to: 187_621 };

test("a position and its moment belong together", () => {
  const range = { from: 1_000, to: 3_000 };
  assert.equal(toPixels(range, 500, 2_000), 250);
  assert.equal(toTime(range, 500, 250), 2_000);
});

test("ticks stand at round times and are named since the start", () => {
  assert.deepEqual(
    ticks(WHOLE, 7).map((tick) => tick.label),
    ["0", "30s", "1:00", "1:30", "2:00", "2:30", "3:00"],
  );
  assert.deepEqual(
    ticks({ from: 0, to: 900 }, 5).map((tick) => tick.label),
    ["0", "200 ms", "400 ms", "600 ms", "800 ms"],
  );
  assert.deepEqual(
    ticks({ from: 61_000, to: 61_020 }, 3).map((tick) => tick.label),
    ["1:01", "1:01.01", "1:01.02"],
  );
  assert.deepEqual(
    ticks({ from: -5_000, to: 5_000 }, 3).map((tick) => tick.label),
    ["−5s", "0", "5s"],
  );
  assert.deepEqual(
    ticks({ from: 0, to: 4 * 3_600_000 }, 3).map((tick) => tick.label),
    ["0", "2:00:00", "4:00:00"],
  );
  assert.deepEqual(
    ticks({ from: 0, to: 10 * 86_400_000 }, 4).map((tick) => tick.label),
    ["0", "5d", "10d"],
  );
});

test("there are never more ticks than asked for, and all are within the range", () => {
  const random = randomIntegers(5);
  for (let round = 0; round < 2_000; round++) {
    const from = random(100_000) - 50_000;
    const range = { from, to: from + 1 + random(10 ** (1 + random(8))) };
    const most = 1 + random(12);
    const found = ticks(range, most);
    assert.ok(found.length <= most);
    assert.ok(found.every((tick) => tick.time >= range.from && tick.time <= range.to));
    assert.equal(new Set(found.map((tick) => tick.label)).size, found.length);
  }
});

test("zooming keeps the moment under the pointer in place", () => {
  const range = { from: 50_000, to: 100_000 };
  const zoomed = zoomAround(range, WHOLE, 60_000, 0.5);
  assert.equal(toPixels(range, 800, 60_000), toPixels(zoomed, 800, 60_000));
  assert.equal(zoomed.to - zoomed.from, 25_000);
});

test("zoom and pan never leave the launch nor become too short to show", () => {
  const random = randomIntegers(9);
  let range = WHOLE;
  for (let round = 0; round < 2_000; round++) {
    range = random(2)
      ? zoomAround(range, WHOLE, random(200_000), [0.3, 0.5, 2, 3][random(4)])
      : pan(range, WHOLE, random(5) - 2);
    assert.ok(range.from >= WHOLE.from && range.to <= WHOLE.to + 1e-6);
    assert.ok(range.to - range.from >= MIN_SPAN - 1e-6);
  }
});

test("a stretch from an old address is moved into the launch", () => {
  assert.deepEqual(clampRange({ from: 180_000, to: 200_000 }, WHOLE), { from: 167_621, to: 187_621 });
  assert.deepEqual(clampRange({ from: -9e9, to: 9e9 }, WHOLE), WHOLE);
  assert.ok(isWhole(WHOLE, WHOLE));
  assert.ok(!isWhole({ from: 0, to: 5 }, WHOLE));
});

test("a launch without any length still has a stretch to show", () => {
  assert.deepEqual(wholeRange({ first: 0, last: 0 }), { from: 0, to: MIN_SPAN });
});

test("a stretch moves to what it does not show, and keeps its length", () => {
  const range = { from: 1_000, to: 3_000 };
  assert.deepEqual(moveTo(range, WHOLE, { from: 50_000, to: 50_500 }), { from: 49_250, to: 51_250 });
  assert.deepEqual(moveTo(range, WHOLE, { from: 0, to: 100 }), { from: 0, to: 2_000 });
  assert.deepEqual(moveTo(range, WHOLE, { from: WHOLE.to, to: WHOLE.to }), { from: WHOLE.to - 2_000, to: WHOLE.to });
  assert.equal(moveTo(range, WHOLE, { from: 2_500, to: 9_000 }), range);
  assert.equal(moveTo(WHOLE, WHOLE, { from: 0, to: 0 }), WHOLE);
});
