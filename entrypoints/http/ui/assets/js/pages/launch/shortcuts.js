/** What the keys do on the launch page. */

/** Deepest level with a key of its own. */
const MAX_DEPTH_KEY = 9;

/**
 * Return the shortcuts of the page.
 *
 * @param {import("./commands.js").Commands} commands
 * @param {import("./tree_view.js").TreeView} tree
 * @returns {import("../../lib/keyboard.js").Shortcut[]}
 */
export function shortcuts(commands, tree) {
  const depths = Array.from({ length: MAX_DEPTH_KEY }, (_, at) => String(at + 1));
  return [
    { keys: ["j", "ArrowDown"], label: "Next run", run: () => tree.move(1) },
    { keys: ["k", "ArrowUp"], label: "Previous run", run: () => tree.move(-1) },
    { keys: ["ArrowRight"], label: "Open the run, then go to its first child", run: () => tree.expand(tree.active) },
    { keys: ["ArrowLeft"], label: "Close the run, then go to its parent", run: () => tree.collapse(tree.active) },
    { keys: ["n"], label: "Next problem", run: () => commands.stepProblem(1) },
    { keys: ["p"], label: "Previous problem", run: () => commands.stepProblem(-1) },
    { keys: ["e"], label: "Only problems, or all runs", run: () => commands.toggleProblems() },
    { keys: ["c"], label: "Critical path", run: () => commands.togglePath() },
    {
      keys: depths,
      label: "Show this many levels; again for the usual ones",
      run: ({ key }) => commands.setDepth(Number(key)),
    },
    { keys: ["x"], label: "Open everything; again for the usual", run: () => commands.toggleAll() },
    { keys: ["z"], label: "Zoom to the selected run", run: () => commands.zoomToSelected() },
    { keys: ["0"], label: "Show the whole launch", run: () => commands.zoomTo(null) },
    { keys: ["+", "="], label: "Zoom in", run: () => commands.zoom(0.5) },
    { keys: ["-", "_"], label: "Zoom out", run: () => commands.zoom(2) },
    { keys: [","], label: "Earlier", run: () => commands.pan(-0.25) },
    { keys: ["."], label: "Later", run: () => commands.pan(0.25) },
    { keys: ["o"], label: "Open the selected run alone, or the parent of the launch", run: () => commands.goToRun() },
    { keys: ["y"], label: "Copy the run_id", run: () => commands.copyId() },
    { keys: ["Escape"], label: "Close the details", run: () => commands.deselect() },
  ];
}
