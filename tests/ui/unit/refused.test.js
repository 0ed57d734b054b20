import assert from "node:assert/strict";
import { test } from "node:test";

import {
  indented,
  invalidFields,
  refusedKey,
  shownBody,
} from "../../../entrypoints/http/ui/assets/js/model/refused.js";
import { shownCount } from "../../../entrypoints/http/ui/assets/js/refusal_count.js";

const REFUSAL = { received_at: "2026-01-31T12:00:01Z", event_id: "e-1", run_id: "r", errors: [], body: "{}" };

test("indented JSON is the same JSON, laid out as usual", () => {
  for (const value of [
    {},
    [],
    "",
    null,
    { a: [], b: {}, c: [1, [2], { d: null }], 'e"\\{[:,': "x: {y}, [z]\\" },
    ["x".repeat(60_000), '\\"'.repeat(10_000)],
    [[[[]]], { a: { b: { c: [true, false] } } }, "日本 \u202e"],
  ]) {
    for (const json of [JSON.stringify(value), JSON.stringify(value, null, 3)]) {
      assert.equal(indented(json), JSON.stringify(value, null, 2));
    }
  }
});

test("no number and no escape is altered", () => {
  const json = '{"a": 12345678901234567890.10, "b": 1e999, "c": "\\u00e9\\/", "a": -0.0}';
  const { text, isJson } = shownBody(json);
  assert.ok(isJson);
  for (const part of ["12345678901234567890.10", "1e999", '"\\u00e9\\/"', "-0.0"]) assert.ok(text.includes(part), part);
});

test("what is not JSON is shown as it was sent", () => {
  for (const body of ["", "{", "run 7", '{"a": NaN}', "\\xff"]) {
    assert.deepEqual(shownBody(body), { text: body, isJson: false, omitted: 0 });
  }
});

test("a body that was cut says how much is missing", () => {
  const body = `{"a": "${"é".repeat(40_000)}… (12345 more bytes)`;
  assert.deepEqual(shownBody(body), { text: body, isJson: false, omitted: 12345 });
  assert.equal(shownBody('["… (99 more bytes)').omitted, 0);
});

test("deep nesting takes neither a recursion nor endless indents", () => {
  const deep = `${"[".repeat(30_000)}${"]".repeat(30_000)}`;
  assert.ok(indented(deep).length < 6_000_000);
});

test("fields are named once, and errors of the whole run as such", () => {
  const errors = [
    { field: "start_time", error: "a" },
    { field: null, error: "b" },
    { field: "start_time", error: "c" },
  ];
  assert.equal(invalidFields({ ...REFUSAL, errors }), "start_time, the run");
});

test("refusals have different keys", () => {
  const others = [{ body: "[]" }, { event_id: null }, { run_id: "s" }, { received_at: "2026-01-31T12:00:02Z" }];
  const keys = [{}, ...others].map((change) => refusedKey({ ...REFUSAL, ...change }));
  assert.equal(new Set(keys).size, keys.length);
});

test("a count beyond the first page is open", () => {
  assert.equal(shownCount({ refusals: [], next_cursor: null }), "");
  assert.equal(shownCount({ refusals: [1, 2], next_cursor: null }), "2");
  assert.equal(shownCount({ refusals: [1, 2], next_cursor: "x" }), "2+");
});
