import assert from "node:assert/strict";
import { test } from "node:test";

import { errorPattern, groupErrors } from "../../../entrypoints/http/ui/assets/js/model/errors.js";

/** @typedef {import("../../../entrypoints/http/ui/assets/js/lib/page.js").Run} Run */

/**
 * @param {number} second
 * @param {string | null} error_summary
 * @param {Partial<Run>} [fields]
 */
function problem(second, error_summary, fields) {
  const start_time = `2026-01-31T09:00:${String(second).padStart(2, "0")}Z`;
  const run = { event_id: `e-${second}`, status: "failure", agent_name: "agent", start_time, error_summary, ...fields };
  return /** @type {Run} */ (run);
}

test("numbers and ids do not tell errors apart", () => {
  for (const [text, pattern] of [
    ["4 of 55 checks of glossary failed", "# of # checks of glossary failed"],
    ["took 1,204.5 ms at 09:02:17", "took # ms at #"],
    ["no run d7a8edde-45ed-4c6d-8e1f-0ea88e37adb4", "no run #"],
    ["commit 394b15dbf23f\n  is gone", "commit # is gone"],
    ["w0124.call-2 failed", "w#.call-# failed"],
    ["effaced facade", "effaced facade"],
  ]) {
    assert.equal(errorPattern(text), pattern);
  }
});

test("what went wrong is told by some numbers", () => {
  for (const text of ["HTTP 503", "status 404 from the model", "exit status 137", "error 5"]) {
    assert.equal(errorPattern(text), text);
  }
});

test("a text of any length is compared in bounded time by its beginning", () => {
  for (const text of ["7".repeat(500_000), "a".repeat(500_000), "1.".repeat(250_000), " ".repeat(500_000)]) {
    assert.ok(errorPattern(text).length <= 500);
  }
});

test("groups have what is shown of them, the most frequent first", () => {
  const groups = groupErrors([
    problem(9, "5 of 60 failed"),
    problem(8, "5 of 60 failed", { status: "partial" }),
    problem(7, null),
    problem(5, "4 of 55 failed", { agent_name: "other" }),
    problem(4, "5 of 60 failed"),
  ]);
  assert.deepEqual(
    groups.map(({ status, pattern, example, runs }) => [status, pattern, example, runs.length]),
    [
      ["failure", "# of # failed", "5 of 60 failed", 3],
      ["partial", "# of # failed", "5 of 60 failed", 1],
      ["failure", "", "", 1],
    ],
  );
  const [first] = groups;
  assert.equal(first.last, "2026-01-31T09:00:09Z");
  assert.equal(first.first, "2026-01-31T09:00:04Z");
  assert.deepEqual(first.agents, [
    { value: "agent", runs: 2 },
    { value: "other", runs: 1 },
  ]);
  assert.deepEqual(
    first.texts.map(({ value }) => value),
    ["5 of 60 failed", "4 of 55 failed"],
  );
  assert.equal(new Set(groups.map(({ key }) => key)).size, 3);
});

test("a group keeps its key when there is more of it", () => {
  const before = groupErrors([problem(4, "4 of 55 failed")]);
  const after = groupErrors([problem(9, "5 of 60 failed"), problem(4, "4 of 55 failed")]);
  assert.equal(before[0].key, after[0].key);
});
