import js from "@eslint/js";
import globals from "globals";

/** Ways for a text to become markup or code. The content security policy forbids them too; here they fail earlier. */
const SINKS = [
  "innerHTML",
  "outerHTML",
  "insertAdjacentHTML",
  "setHTMLUnsafe",
  "createContextualFragment",
  "srcdoc",
];

export default [
  js.configs.recommended,
  {
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "array-callback-return": "error",
      complexity: ["error", 12],
      "consistent-return": "error",
      curly: ["error", "multi-line"],
      "default-case-last": "error",
      eqeqeq: "error",
      "max-depth": ["error", 3],
      "max-len": ["error", { code: 120, ignoreTemplateLiterals: true }],
      "max-lines": ["error", 400],
      "max-lines-per-function": ["error", { max: 60, skipComments: true }],
      "no-else-return": "error",
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-new-func": "error",
      "no-restricted-properties": [
        "error",
        ...SINKS.map((property) => ({ property })),
        { object: "document", property: "write" },
        { object: "document", property: "writeln" },
      ],
      "no-shadow": "error",
      "no-unused-expressions": "error",
      "no-use-before-define": ["error", { functions: false, classes: false }],
      "no-var": "error",
      "object-shorthand": "error",
      "prefer-const": "error",
      "prefer-template": "error",
    },
  },
  { files: ["**/assets/js/**"], languageOptions: { globals: globals.browser } },
  { files: ["**/assets/js/theme.js"], languageOptions: { sourceType: "script" } },
  { files: ["tests/**"], languageOptions: { globals: globals.nodeBuiltin } },
];
