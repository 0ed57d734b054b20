import assert from "node:assert/strict";
import { test } from "node:test";

import * as format from "../../../entrypoints/http/ui/assets/js/lib/format.js";

const NIGHT = "2026-01-31T23:30:05.250000Z";

test("a duration has three digits, then two units", () => {
  const cases = [
    [null, ""],
    [0, "0 ms"],
    [480, "480 ms"],
    [999, "999 ms"],
    [999.6, "1.00 s"],
    [7412, "7.41 s"],
    [9994, "9.99 s"],
    [9995, "10.0 s"],
    [59_949, "59.9 s"],
    [59_950, "1m 00s"],
    [188_000, "3m 08s"],
    [3_599_400, "59m 59s"],
    [3_599_600, "1h 00m"],
    [3_720_000, "1h 02m"],
    [86_399_000, "1d 00h"],
    [183_600_000, "2d 03h"],
    [-1500, "−1.50 s"],
  ];
  for (const [ms, shown] of cases) assert.equal(format.duration(/** @type {number | null} */ (ms)), shown);
});

test("a longer duration never looks shorter at the borders between units", () => {
  /** @type {Record<string, number>} */
  const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
  /** @param {string} shown */
  const size = (shown) =>
    [...shown.matchAll(/([\d.]+) ?(ms|[smhd])/g)]
      .map(([, number, unit = ""]) => Number(number) * (units[unit] ?? NaN))
      .reduce((sum, one) => sum + one, 0);
  let before = -1;
  for (let ms = 0; ms < 200_000_000; ms = Math.ceil(ms * 1.0007 + 1)) {
    const now = size(format.duration(ms));
    assert.ok(now >= before, `${ms}`);
    assert.ok(Math.abs(now - ms) <= Math.max(0.5, ms * 0.042), `${ms}: ${format.duration(ms)}`);
    before = now;
  }
});

test("digits are in groups of three", () => {
  assert.deepEqual(
    [undefined, 0, 341, 1164, 9995, 10_000, 1_234_567].map(format.count),
    ["", "0", "341", "1\u2009164", "9\u2009995", "10\u2009000", "1\u2009234\u2009567"],
  );
  assert.equal(format.counted(1, "run"), "1 run");
  assert.equal(format.counted(2, "launch", "launches"), "2 launches");
});

test("tokens have three digits and a unit", () => {
  const given = [null, 0, 1164, 9994, 9995, 13_400, 99_949, 99_950, 224_000, 999_499, 999_500, 26_100_000, 3e9, 2e12];
  assert.equal(
    given.map(format.tokens).join(", ").replaceAll("\u2009", " "),
    ", 0, 1164, 9994, 10.0 k, 13.4 k, 99.9 k, 100 k, 224 k, 999 k, 1.00 M, 26.1 M, 3.00 G, 2.00 T",
  );
});

test("costs are exact where they are small, and never look like nothing", () => {
  const given = [null, 0, 0.0001, 0.0005, 0.01, 0.53, 0.9996, 1.93, 87.74, 99.996, 190.4, 12_345, -1.5];
  assert.equal(
    given.map(format.cost).join(", "),
    ", $0, <$0.001, $0.001, $0.010, $0.530, $1.00, $1.93, $87.74, $100, $190, $12\u2009345, −$1.50",
  );
});

test("UTC is written as any other zone", () => {
  // The same time of day by another name, which is formatted by the browser.
  for (const instant of [0, NIGHT, "2026-02-28T23:59:59.9Z", "2026-03-01T00:00:00Z", "2028-02-29T09:05:07Z"]) {
    for (const write of [format.time, format.clock, format.day, format.dateTime, format.dayKey]) {
      assert.equal(write(instant, "UTC"), write(instant, "Etc/GMT"));
    }
  }
});

test("times are those of the zone, also across midnight", () => {
  assert.equal(format.time(NIGHT, "UTC"), "23:30");
  assert.equal(format.clock(NIGHT, "UTC"), "23:30:05");
  assert.equal(format.day(NIGHT, "UTC"), "Sat 31 Jan");
  assert.equal(format.dateTime(NIGHT, "UTC"), "Sat 31 Jan 2026, 23:30:05");
  assert.equal(format.dayKey(NIGHT, "UTC"), "2026-01-31");
  assert.equal(format.dateTime(NIGHT, "Europe/Berlin"), "Sun 1 Feb 2026, 00:30:05");
  assert.equal(format.dayKey(NIGHT, "Europe/Berlin"), "2026-02-01");
  assert.equal(format.dayKey(Date.parse(NIGHT), "America/New_York"), "2026-01-31");
  assert.equal(format.day("2026-09-05T12:00:00Z", "UTC"), "Sat 5 Sep");
});
