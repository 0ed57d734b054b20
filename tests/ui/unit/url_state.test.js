import assert from "node:assert/strict";
import { test } from "node:test";

import {
  changedQuery,
  choice,
  choices,
  flag,
  href,
  integer,
  range,
  readQuery,
  text,
  texts,
} from "../../../entrypoints/http/ui/assets/js/lib/url_state.js";

const SCHEMA = {
  q: text(),
  days: integer(14, { min: 1, max: 90 }),
  path: flag(),
  sort: choice(["start", "cost"], "start"),
  status: choices(["failure", "timeout", "success"]),
  agent_name: texts(),
  z: range(),
};

/** @type {import("../../../entrypoints/http/ui/assets/js/lib/url_state.js").Values<typeof SCHEMA>} */
const FULL = {
  q: "a & b=c, 100% #1 + 日本 \u202e",
  days: 7,
  path: true,
  sort: "cost",
  status: ["failure", "success"],
  agent_name: ["one, two", "", "&=?"],
  z: [100, 2500],
};

test("an empty query reads as the defaults, which are written as nothing", () => {
  const defaults = readQuery(SCHEMA, "");
  assert.deepEqual(defaults, { q: "", days: 14, path: false, sort: "start", status: [], agent_name: [], z: null });
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
  for (const z of ["", "-", "5-5", "1-x", "1.5-2", "-1-2"]) assert.equal(readQuery(SCHEMA, `?z=${z}`).z, null, z);
});

test("links are relative and hold any id", () => {
  assert.equal(href(""), "./");
  assert.equal(href("", { q: "x" }), "./?q=x");
  assert.equal(href("launch", { id: "a/b?c#d", event_id: null, run: "" }), "launch?id=a%2Fb%3Fc%23d");
});
