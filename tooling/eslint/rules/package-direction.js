import { AST_NODE_TYPES, ESLintUtils } from "@typescript-eslint/utils";
import { isBuiltin } from "node:module";
import { PACKAGES } from "../../packages.js";

const NO_OPTIONS = { name: "", node: false, also: /** @type {string[]} */ ([]) };

/**
 * Reports imports against the direction of the packages, and imports of Node where the code must run in browsers.
 *
 * Options: `name` is the package that the file belongs to, `node` says whether this file may use Node, `also` lists packages
 * that this file may import whatever the table says.
 */
export const packageDirection = ESLintUtils.RuleCreator.withoutDocs({
  meta: {
    type: "problem",
    docs: { description: "imports follow the direction of the packages" },
    messages: {
      direction: "{{name}} must not import {{imported}}",
      node: "this file runs in browsers too: {{imported}} needs Node",
      outside: "{{imported}} leaves the package: import the other package by its name",
    },
    schema: [
      {
        type: "object",
        properties: {
          name: { type: "string" },
          node: { type: "boolean" },
          also: { type: "array", items: { type: "string" } },
        },
        required: ["name", "node", "also"],
        additionalProperties: false,
      },
    ],
    defaultOptions: [NO_OPTIONS],
  },
  create(context, [{ name, node, also } = NO_OPTIONS]) {
    const allowed = new Set([name, ...(PACKAGES[name]?.imports ?? []), ...also]);

    /** @param {import("@typescript-eslint/utils").TSESTree.Expression | null} source */
    const check = (source) => {
      if (source?.type !== AST_NODE_TYPES.Literal || typeof source.value !== "string") return;
      const imported = source.value;
      const fault = findFault(imported, allowed, node, context.filename);
      if (fault !== undefined) context.report({ node: source, messageId: fault, data: { name, imported } });
    };

    return {
      ImportDeclaration: (statement) => check(statement.source),
      ImportExpression: (expression) => check(expression.source),
      ExportAllDeclaration: (statement) => check(statement.source),
      ExportNamedDeclaration: (statement) => check(statement.source),
      TSImportType: (type) => check(type.source),
    };
  },
});

/**
 * @param {string} imported
 * @param {ReadonlySet<string>} allowed
 * @param {boolean} node
 * @param {string} filename
 * @returns {"direction" | "node" | "outside" | undefined}
 */
function findFault(imported, allowed, node, filename) {
  if (isBuiltin(imported)) return node ? undefined : "node";
  if (imported.startsWith(".")) return leavesPackage(imported, filename) ? "outside" : undefined;
  if (!imported.startsWith("@img/")) return undefined;
  const other = imported.split("/", 2).join("/");
  if (!allowed.has(other)) return "direction";
  return !node && needsNode(imported, other) ? "node" : undefined;
}

/** @param {string} imported @param {string} other */
function needsNode(imported, other) {
  return PACKAGES[other]?.node[0] === "**" || imported === `${other}/node`;
}

/**
 * Sources and tests lie below a package's `src` and `test`: a path that climbs above the parent of these is outside.
 *
 * @param {string} imported
 * @param {string} filename
 */
function leavesPackage(imported, filename) {
  const folders = filename.split(/[\\/]/).slice(0, -1);
  const top = Math.max(folders.lastIndexOf("src"), folders.lastIndexOf("test"));
  if (top === -1) return false;
  const depth = folders.length - top;
  return imported.split("/").filter((part) => part === "..").length > depth;
}
