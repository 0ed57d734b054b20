import assert from "node:assert/strict";
import { test } from "node:test";

import {
  costByAgent,
  costOf,
  ownFigure,
  sumInnermost,
  tokensOf,
} from "../../../entrypoints/http/ui/assets/js/model/costs.js";
import { countKinds } from "../../../entrypoints/http/ui/assets/js/model/figures.js";
import { randomTrees, run, treeOf } from "./trees.js";

const LAUNCH = treeOf([
  run({ run_id: "l", metrics_json: { cost_usd: 1.97, total_tokens: 300 } }),
  run({ run_id: "a", parent: 0, agent_name: "planner", metrics_json: { cost_usd: 0.9, total_tokens: 100 } }),
  run({ run_id: "b", parent: 0, agent_name: "worker", metrics_json: { cost_usd: 1.0 } }),
  run({
    run_id: "b1",
    parent: 2,
    agent_name: "model",
    metrics_json: { cost_usd: 0.6, input_tokens: 40, output_tokens: 2 },
  }),
  run({ run_id: "b2", parent: 2, agent_name: "model", metrics_json: { cost_usd: 0.4, total_tokens: 50 } }),
  run({ run_id: "c", parent: 0 }),
]);

test("a total is summed over the innermost runs, so that nothing counts twice", () => {
  const cost = sumInnermost(LAUNCH, costOf);
  assert.equal(cost.sum[0].toFixed(4), "1.9000");
  assert.equal(cost.sum[2], 1);
  assert.ok(Number.isNaN(cost.sum[5]));
});

test("the own figure is told only if it contradicts the sum", () => {
  assert.equal(ownFigure(1.97, 1.93), 1.97);
  assert.ok(Number.isNaN(ownFigure(1.93, 1.93)));
  assert.ok(Number.isNaN(ownFigure(1.93, 1.9301)));
  assert.ok(Number.isNaN(ownFigure(Number.NaN, 1.93)));
  assert.ok(Number.isNaN(ownFigure(1.93, Number.NaN)));
});

test("tokens are the total, or input and output together", () => {
  const tokens = sumInnermost(LAUNCH, tokensOf);
  assert.equal(tokens.sum[2], 92);
  assert.ok(Number.isNaN(tokensOf(run({ metrics_json: { total_tokens: "12" } }))));
  assert.equal(tokensOf(run({ metrics_json: { output_tokens: 5 } })), 5);
});

test("the split by agent adds up to the total", () => {
  const cost = sumInnermost(LAUNCH, costOf);
  const agents = costByAgent(LAUNCH, cost, sumInnermost(LAUNCH, tokensOf));
  assert.deepEqual(agents, [
    { agent: "model", runs: 2, cost: 1, tokens: 92 },
    { agent: "planner", runs: 1, cost: 0.9, tokens: 100 },
  ]);
  for (const tree of randomTrees()) {
    const sums = sumInnermost(tree, costOf);
    const split = costByAgent(tree, sums, sumInnermost(tree, tokensOf)).reduce((total, entry) => total + entry.cost, 0);
    assert.equal(split, sums.sum[0] || 0);
  }
});

test("a sum is that of the reporting runs with no reporting run below", () => {
  for (const tree of randomTrees()) {
    const { sum, own } = sumInnermost(tree, costOf);
    const reports = (/** @type {number} */ at) => !Number.isNaN(own[at]);
    const isInnermost = (/** @type {number} */ at) => own.subarray(at + 1, tree.next[at]).every(Number.isNaN);
    for (let index = 0; index < tree.runs.length; index++) {
      const inside = Array.from({ length: tree.next[index] - index }, (_, at) => index + at);
      const summed = inside.filter((at) => reports(at) && isInnermost(at)).map((at) => own[at]);
      assert.ok(Object.is(sum[index], summed.length > 0 ? summed.reduce((total, value) => total + value) : Number.NaN));
    }
  }
});

test("kinds are counted with their problems and their median duration", () => {
  const tree = treeOf([
    run({ run_id: "l", job_type: "launch" }),
    run({ run_id: "a", parent: 0, to: 10 }),
    run({ run_id: "b", parent: 0, to: 20, status: "failure" }),
    run({ run_id: "c", parent: 0, to: 90 }),
  ]);
  assert.deepEqual(countKinds(tree), [
    { jobType: "job", runs: 3, problems: 1, median: 20 },
    { jobType: "launch", runs: 1, problems: 0, median: 1000 },
  ]);
});
