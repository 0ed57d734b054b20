/** One launch: its runs as a tree beside a waterfall, and a panel that says why it failed. */

import { apiPath } from "../lib/api.js";
import { el, replace, setAttribute } from "../lib/dom.js";
import { copy } from "../lib/run_details.js";
import { VirtualList } from "../lib/virtual_list.js";
import { href } from "../lib/url_state.js";
import { Launch, View } from "../model/launch.js";
import { fullName } from "../model/names.js";
import { nextMarked } from "../model/problems.js";
import { refusalsOf } from "../model/refusals.js";
import { clampRange, isWhole, pan, wholeRange, zoomAround } from "../model/time_scale.js";
import { findRun } from "../model/tree.js";
import { Axis } from "./launch/axis.js";
import { showFacts } from "./launch/facts.js";
import { Minimap } from "./launch/minimap.js";
import { Panel } from "./launch/panel.js";
import { createRow } from "./launch/row.js";
import { RunLoader } from "./launch/run_loader.js";
import { shortcuts } from "./launch/shortcuts.js";
import { EVERYTHING, STATE, foldingOf, foldingState } from "./launch/state.js";
import { Toolbar } from "./launch/toolbar.js";
