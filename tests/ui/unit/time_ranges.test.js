import assert from "node:assert/strict";
import { test } from "node:test";

import {
  boundsOf,
  columnLength,
  DAY,
  HOUR,
  spanOf,
  startOfDay,
  ticks,
} from "../../../entrypoints/http/ui/assets/js/model/time_ranges.js";

const NOW = Date.parse("2026-01-31T09:03:07Z");
const NONE = /** @type {const} */ ({ range: "", from: null, to: null });
const KNOWN = { now: NOW, zone: "UTC", newest: NOW - HOUR };

test("without a choice it is the last 14 days, open to what comes", () => {
  const span = spanOf(NONE, KNOWN);
  assert.deepEqual([span.name, span.to], ["14", null]);
  assert.ok(span.from <= NOW - 14 * DAY && span.from > NOW - 15 * DAY);
});

test("if nothing happened in them, it is the 14 days up to the newest launch, which is inside", () => {
  const newest = NOW - 100 * DAY;
  const span = spanOf(NONE, { ...KNOWN, newest });
  assert.equal(span.name, "newest");
  assert.ok(span.to !== null && newest < span.to && span.to - newest <= DAY);
  assert.equal(span.to - span.from, 14 * DAY);
});

test("what was chosen stays, however old the newest launch is", () => {
  assert.equal(spanOf({ ...NONE, range: "7" }, { ...KNOWN, newest: NOW - 100 * DAY }).name, "7");
  assert.deepEqual(spanOf({ ...NONE, from: 5, to: 9 }, KNOWN), { from: 5, to: 9, name: "custom" });
});

test("an end that is not after the beginning chooses nothing", () => {
  assert.deepEqual(spanOf({ ...NONE, from: 9, to: 5 }, KNOWN), spanOf(NONE, KNOWN));
  assert.deepEqual(spanOf({ ...NONE, from: 9, to: 9 }, KNOWN), spanOf(NONE, KNOWN));
});

test("the last night is the one that ended this morning, or has not ended yet", () => {
  const span = spanOf({ ...NONE, range: "night" }, KNOWN);
  assert.equal(new Date(span.from).toISOString(), "2026-01-30T18:00:00.000Z");
  assert.equal(new Date(span.to ?? 0).toISOString(), "2026-01-31T09:00:00.000Z");
  const early = spanOf({ ...NONE, range: "night" }, { ...KNOWN, now: Date.parse("2026-01-31T04:00:00Z") });
  assert.deepEqual([early.from, early.to], [span.from, null]);
});

test("a stretch of time stays the same within a column, so that polls ask the same", () => {
  const step = columnLength(14 * DAY);
  const start = Math.floor(NOW / step) * step;
  const spans = [0, 1, step - 1].map((ms) => spanOf({ ...NONE, range: "14" }, { ...KNOWN, now: start + ms }).from);
  assert.equal(new Set(spans).size, 1);
});

test("columns are few, and as short as that allows", () => {
  for (let length = 1000; length < 3000 * DAY; length = Math.ceil(length * 1.7)) {
    assert.ok(length / columnLength(length) <= 64, String(length));
  }
  assert.equal(columnLength(14 * DAY), 6 * HOUR);
  assert.equal(columnLength(DAY), HOUR / 2);
  assert.equal(columnLength(30.4 * DAY), 12 * HOUR);
});

test("the API includes both bounds, so the end is a microsecond earlier", () => {
  const { start_time_from, start_time_to } = boundsOf({ from: 0, to: DAY });
  assert.deepEqual([start_time_from, start_time_to], ["1970-01-01T00:00:00.000Z", "1970-01-01T23:59:59.999999Z"]);
  assert.deepEqual(boundsOf({ from: null, to: null }), { start_time_from: null, start_time_to: null });
});

test("days begin at midnight of the zone, also where days have 23 or 25 hours", () => {
  assert.equal(startOfDay(NOW, "UTC"), Date.parse("2026-01-31T00:00:00Z"));
  const local = Intl.DateTimeFormat().resolvedOptions().timeZone;
  for (let day = 0; day < 366; day += 1) {
    const start = startOfDay(NOW, local === "UTC" ? "here" : local, day);
    assert.deepEqual([new Date(start).getHours(), new Date(start).getMinutes()], [0, 0]);
  }
});

test("ticks lie within the stretch, are as few as asked for, and are days where it is long", () => {
  for (const length of [HOUR, 15 * HOUR, DAY, 3 * DAY, 14 * DAY, 400 * DAY]) {
    for (const most of [2, 4, 14]) {
      const found = ticks(NOW - length, NOW, "UTC", most);
      assert.ok(found.length <= most + 1, `${length} ${most} ${found.length}`);
      assert.ok(found.every(({ at }) => at >= NOW - length && at < NOW));
      if (length > 12 * HOUR * most) assert.ok(found.every(({ isDay }) => isDay));
    }
  }
});
