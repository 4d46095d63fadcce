import { describe, expect, it } from "vitest";
import { parseArguments } from "../src/arguments/parse-arguments.ts";
import { makesEmptyImage } from "../src/values/makes-empty-image.ts";
import { findVerb } from "../src/verbs/find-verb.ts";

function isEmpty(...words: readonly string[]): boolean {
  return makesEmptyImage(parseArguments(words, findVerb("create").options));
}

describe("what is loaded for `create`", () => {
  it("opens no images when only a new one is written", () => {
    expect(isEmpty("-f", "qcow2", "a.qcow2", "1G")).toBe(true);
    expect(isEmpty("-q", "-f", "qcow2", "-o", "compat=0.10,cluster_size=4k", "a.qcow2", "1G")).toBe(true);
    expect(isEmpty("a.raw", "1G")).toBe(true);
    expect(isEmpty("-o", "help")).toBe(true);
  });

  it.each([
    ["-b", "base.qcow2"],
    ["-u", "-b", "base.qcow2"],
    ["-o", "backing_file=base.qcow2"],
    ["-o", "size=1G,preallocation=metadata"],
    ["-o", "compat=1.1", "-o", "data_file=data.raw"],
  ])("opens them when another one is named, or clusters are allocated: %s %s", (...words) => {
    expect(isEmpty("-f", "qcow2", ...words, "a.qcow2", "1G")).toBe(false);
  });

  it("gives the whole verb to whoever doesn't say what it is for", async () => {
    const verb = findVerb("create");
    const [whole, empty] = [await verb.load(), await verb.load(parseArguments(["a.raw", "1G"], verb.options))];
    expect(whole.run).toBe(empty.run);
    expect((await findVerb("rebase").load(parseArguments(["-u", "a"], findVerb("rebase").options))).run).toBeTypeOf(
      "function",
    );
  });
});
