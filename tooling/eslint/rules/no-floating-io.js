import { AST_NODE_TYPES, ESLintUtils } from "@typescript-eslint/utils";
import ts from "typescript";

const NO_OPTIONS = { bareYield: false };

/**
 * Reports operations that are made and never driven. An `Io` is a generator of `Step`s and does nothing by itself: whoever
 * forgets the `yield*` loses the operation without an error.
 *
 * Reported are expression statements and operands of `void` whose value is an `Io` (or an array of them), callbacks that
 * return an `Io` to somebody who expects nothing, and a bare `yield` of a `Step` or an `Io`; the last one is allowed by the
 * option `bareYield`, for the runner itself.
 */
export const noFloatingIo = ESLintUtils.RuleCreator.withoutDocs({
  meta: {
    type: "problem",
    docs: { description: "every Io is driven, delegated to or passed on" },
    messages: {
      floating: "this Io is never driven: delegate to it with yield*, or pass it on",
      ignoredByCallee: "the caller of this function expects no result: the Io that it returns is never driven",
      bareYieldOfIo: "a bare yield hands the Io to the runner as if it were a step: use yield*",
      bareYieldOfStep: "steps are yielded in one place only: use yield* with a storage access or lock operation",
    },
    schema: [{ type: "object", properties: { bareYield: { type: "boolean" } }, additionalProperties: false }],
    defaultOptions: [NO_OPTIONS],
  },
  create(context, [{ bareYield } = NO_OPTIONS]) {
    const services = ESLintUtils.getParserServices(context);
    const checker = services.program.getTypeChecker();

    /** @param {import("@typescript-eslint/utils").TSESTree.Expression} node */
    const checkUnused = (node) => {
      if (node.type === AST_NODE_TYPES.AssignmentExpression) return;
      if (node.type === AST_NODE_TYPES.UnaryExpression && node.operator === "void") return;
      if (node.type === AST_NODE_TYPES.SequenceExpression) return;
      if (isIo(services.getTypeAtLocation(node), checker)) context.report({ node, messageId: "floating" });
    };

    /** @param {import("@typescript-eslint/utils").TSESTree.ArrowFunctionExpression | import("@typescript-eslint/utils").TSESTree.FunctionExpression} node */
    const checkCallback = (node) => {
      const own = services.getTypeAtLocation(node).getCallSignatures();
      if (!own.some((signature) => isIo(signature.getReturnType(), checker))) return;
      const tsNode = /** @type {ts.Expression} */ (services.esTreeNodeToTSNodeMap.get(node));
      const expected = expectedSignatures(tsNode, checker);
      if (expected.length > 0 && expected.every((signature) => isVoid(signature.getReturnType()))) {
        context.report({ node, messageId: "ignoredByCallee" });
      }
    };

    return {
      ExpressionStatement: (statement) => checkUnused(statement.expression),
      "UnaryExpression[operator='void']": (
        /** @type {import("@typescript-eslint/utils").TSESTree.UnaryExpression} */ node,
      ) => checkUnused(node.argument),
      SequenceExpression(node) {
        const used = node.parent.type !== AST_NODE_TYPES.ExpressionStatement;
        for (const part of used ? node.expressions.slice(0, -1) : node.expressions) checkUnused(part);
      },
      ArrowFunctionExpression: checkCallback,
      FunctionExpression: checkCallback,
      YieldExpression(node) {
        if (bareYield || node.delegate || !node.argument) return;
        const type = services.getTypeAtLocation(node.argument);
        if (isIo(type, checker)) context.report({ node, messageId: "bareYieldOfIo" });
        else if (isStep(type)) context.report({ node, messageId: "bareYieldOfStep" });
      },
    };
  },
});

/**
 * @param {ts.Type} type
 * @param {ts.TypeChecker} checker
 * @returns {boolean}
 */
function isIo(type, checker) {
  if (type.isUnion()) return type.types.some((part) => isIo(part, checker));
  if (checker.isArrayType(type) || checker.isTupleType(type)) {
    return checker.getTypeArguments(/** @type {ts.TypeReference} */ (type)).some((part) => isIo(part, checker));
  }
  const name = type.getSymbol()?.getName();
  if (name !== "Generator" && name !== "IterableIterator" && name !== "IteratorObject") return false;
  const [yielded] = checker.getTypeArguments(/** @type {ts.TypeReference} */ (type));
  return yielded !== undefined && isStep(yielded);
}

/**
 * @param {ts.Type} type
 * @returns {boolean}
 */
function isStep(type) {
  if (type.isUnion()) return type.types.some(isStep);
  return type.getSymbol()?.getName() === "Step";
}

/** @param {ts.Type} type */
function isVoid(type) {
  return (type.flags & ts.TypeFlags.Void) !== 0;
}

/**
 * What the place where a function stands expects; nothing when it stands where anything goes.
 *
 * @param {ts.Expression} node
 * @param {ts.TypeChecker} checker
 */
function expectedSignatures(node, checker) {
  if (!ts.isExpression(node)) return [];
  const contextual = checker.getContextualType(node);
  if (contextual === undefined) return [];
  const types = contextual.isUnion() ? contextual.types : [contextual];
  return types.flatMap((type) => [...type.getCallSignatures()]);
}
