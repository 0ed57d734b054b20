import assert from "node:assert/strict";
import { test } from "node:test";

import {
  changedQuery,
  choice,
  choices,
  flag,
  href,
  instant,
  integer,
  range,
  readQuery,
  text,
} from "../../../entrypoints/http/ui/assets/js/lib/url_state.js";

const SCHEMA = {
  q: text(),
  days: integer(14, { min: 1, max: 90 }),
  path: flag(),
  sort: choice(["start", "cost"], "start"),
  status: choices(["failure", "timeout", "success"]),
  z: range(),
  from: instant(),
};

/** @type {import("../../../entrypoints/http/ui/assets/js/lib/url_state.js").Values<typeof SCHEMA>} */
const FULL = {
  q: "a & b=c, 100% #1 + 日本 \u202e",
  days: 7,
  path: true,
  sort: "cost",
  status: ["failure", "success"],
  z: [100, 2500],
  from: Date.parse("2026-01-31T12:00:00.250Z"),
};

test("an empty query reads as the defaults, which are written as nothing", () => {
  const defaults = readQuery(SCHEMA, "");
  const words = { q: "", sort: "start", status: [] };
  assert.deepEqual(defaults, { ...words, days: 14, path: false, z: null, from: null });
  assert.equal(changedQuery(SCHEMA, "", defaults), "");
  assert.equal(changedQuery(SCHEMA, changedQuery(SCHEMA, "", FULL), defaults), "");
});

test("what is written is read back, whatever characters it has", () => {
  assert.deepEqual(readQuery(SCHEMA, changedQuery(SCHEMA, "", FULL)), FULL);
});

test("a change leaves everything else as it is, also what is not in the schema", () => {
  const before = changedQuery(SCHEMA, "?other=1&other=2", FULL);
  const after = changedQuery(SCHEMA, before, { q: "", status: ["timeout"] });
  assert.deepEqual(readQuery(SCHEMA, after), { ...FULL, q: "", status: ["timeout"] });
  assert.deepEqual(new URLSearchParams(after).getAll("other"), ["1", "2"]);
});

test("an address edited by hand reads as the defaults where it is invalid", () => {
  const edited = "?days=1e1&path=yes&sort=__proto__&status=,none,timeout,&z=9-3";
  assert.deepEqual(readQuery(SCHEMA, edited), { ...readQuery(SCHEMA, ""), status: ["timeout"] });
  for (const days of ["0", "91", "-7", "7.5", "", "7 ", "99999999999999999999"]) {
    assert.equal(readQuery(SCHEMA, `?days=${days}`).days, 14, days);
  }
  for (const from of ["", "now", "2026-01-31", "2026-13-31T12:00Z", "2026-01-31T12:00:00", "1e9"]) {
    assert.equal(readQuery(SCHEMA, `?from=${from}`).from, null, from);
  }
  for (const z of ["", "-", "5-5", "1-x", "1.5-2", "-1-2"]) assert.equal(readQuery(SCHEMA, `?z=${z}`).z, null, z);
});

test("an instant is written as briefly as it can be read", () => {
  const noon = Date.parse("2026-01-31T12:00:00Z");
  assert.equal(changedQuery(SCHEMA, "", { from: noon }), "?from=2026-01-31T12%3A00Z");
  for (const ms of [noon, noon + 1000, noon + 1]) {
    assert.equal(readQuery(SCHEMA, changedQuery(SCHEMA, "", { from: ms })).from, ms);
  }
});

test("links are relative and hold any id", () => {
  assert.equal(href(""), "./");
  assert.equal(href("", { q: "x" }), "./?q=x");
  assert.equal(href("launch", { id: "a/b?c#d", event_id: null, run: "" }), "launch?id=a%2Fb%3Fc%23d");
});
