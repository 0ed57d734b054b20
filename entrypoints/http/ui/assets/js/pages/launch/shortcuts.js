/** What the keys do on the launch page. */

/** Deepest level with a key of its own. */
const MAX_DEPTH_KEY = 9;

/**
 * @typedef {object} Actions
 * @property {(rows: number) => void} move
 * @property {(step: 1 | -1) => void} stepProblem
 * @property {() => void} openSelected
 * @property {() => void} closeSelected
 * @property {() => void} toggleProblems
 * @property {() => void} togglePath
 * @property {(depth: number) => void} setDepth
 * @property {() => void} toggleAll
 * @property {() => void} zoomToSelected
 * @property {() => void} resetZoom
 * @property {(factor: number) => void} zoom
 * @property {(share: number) => void} pan
 * @property {() => void} goToRun
 * @property {() => void} copyId
 * @property {() => void} escape
 */

/**
 * @param {Actions} actions
 * @returns {import("../../lib/keyboard.js").Shortcut[]}
 */
export function shortcuts(actions) {
  const depths = Array.from({ length: MAX_DEPTH_KEY }, (_, at) => String(at + 1));
  return [
    { keys: ["j", "ArrowDown"], label: "Next run", run: () => actions.move(1) },
    { keys: ["k", "ArrowUp"], label: "Previous run", run: () => actions.move(-1) },
    { keys: ["ArrowRight"], label: "Open the run, then go to its first child", run: actions.openSelected },
    { keys: ["ArrowLeft"], label: "Close the run, then go to its parent", run: actions.closeSelected },
    { keys: ["n"], label: "Next problem", run: () => actions.stepProblem(1) },
    { keys: ["p"], label: "Previous problem", run: () => actions.stepProblem(-1) },
    { keys: ["e"], label: "Only problems, or all runs", run: actions.toggleProblems },
    { keys: ["c"], label: "Critical path", run: actions.togglePath },
    { keys: depths, label: "Show this many levels; again for the usual ones", run: ({ key }) => actions.setDepth(Number(key)) },
    { keys: ["x"], label: "Open everything; again for the usual", run: actions.toggleAll },
    { keys: ["z"], label: "Zoom to the selected run", run: actions.zoomToSelected },
    { keys: ["0"], label: "Show the whole launch", run: actions.resetZoom },
    { keys: ["+", "="], label: "Zoom in", run: () => actions.zoom(0.5) },
    { keys: ["-", "_"], label: "Zoom out", run: () => actions.zoom(2) },
    { keys: [","], label: "Earlier", run: () => actions.pan(-0.25) },
    { keys: ["."], label: "Later", run: () => actions.pan(0.25) },
    { keys: ["o"], label: "Open the selected run alone, or the parent of the launch", run: actions.goToRun },
    { keys: ["y"], label: "Copy the run_id", run: actions.copyId },
    { keys: ["Escape"], label: "Close the details", run: actions.escape },
  ];
}
