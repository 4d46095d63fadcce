import { qemuJsonLine, type Json } from "../../output/qemu-json.ts";
import type { BlockdevOptions, OptionValue } from "../blockdev-options.ts";
import { hashOrdered } from "../hash-order.ts";

/** Options with those of nested nodes as a tree. */
type Tree = Map<string, OptionValue | Tree>;

/** The name of a node that is described by options: `json:{…}`, as QEMU calls it. */
export function nodeName(options: BlockdevOptions): string {
  const tree: Tree = new Map();
  for (const [key, value] of options) {
    const path = key.split(".");
    const last = path.pop() ?? key;
    let branch = tree;
    for (const part of path) {
      branch = branchOf(branch, part);
    }
    branch.set(last, value);
  }
  return `json:${qemuJsonLine(ordered(tree))}`;
}

function branchOf(tree: Tree, key: string): Tree {
  const found = tree.get(key);
  if (found instanceof Map) {
    return found;
  }
  const branch: Tree = new Map();
  tree.set(key, branch);
  return branch;
}

function ordered(tree: Tree): Readonly<Record<string, Json>> {
  const members: Record<string, Json> = {};
  for (const [key, value] of tree) {
    members[key] = value instanceof Map ? ordered(value) : value;
  }
  return hashOrdered(members);
}
