import { describe, expect, it } from "vitest";
import { parseKeyValues } from "../src/values/key-values.ts";
import { decimal } from "../src/output/decimal.ts";
import { parseSize, requireSize } from "../src/values/parse-size.ts";
import { checkOptionList, parseCreateOptions } from "../src/values/create-options.ts";
import { parseSnapshotOption } from "../src/values/snapshot-option.ts";

describe("decimal", () => {
  it.each([
    [15.625, 2, "15.62"],
    [40.625, 2, "40.62"],
    [46.875, 2, "46.88"],
    [1.0625, 3, "1.062"],
    [1.1875, 3, "1.188"],
    [0.5, 0, "0"],
    [1.5, 0, "2"],
    // no ties: these are a little less or more than they look
    [1.005, 2, "1.00"],
    [2.675, 2, "2.67"],
    [0.145, 2, "0.14"],
    [100, 2, "100.00"],
    [0, 3, "0.000"],
  ])("prints %s with %i digits as C does: %s", (value, digits, text) => {
    expect(decimal(value, digits)).toBe(text);
  });
});

describe("parseSize", () => {
  it.each([
    ["0", 0],
    ["512", 512],
    ["0x200", 512],
    ["1k", 1024],
    ["1K", 1024],
    ["1.5G", 1.5 * 2 ** 30],
    ["2.", 2],
    ["1.0", 1],
    ["3b", 3],
    ["5T", 5 * 2 ** 40],
    [" +7", 7],
    ["0.3k", 307],
    ["9007199254740991", Number.MAX_SAFE_INTEGER],
    ["7E", 7 * 2 ** 60],
    ["8E", "range"],
    ["99999999999999999999", "range"],
    ["", undefined],
    ["k", undefined],
    ["1.5", undefined],
    ["-1", undefined],
    ["1e3", undefined],
    ["1kk", undefined],
    ["1 k", undefined],
    ["0x10k", undefined],
    [".5k", undefined],
  ])("takes '%s' for %s", (text, expected) => {
    expect(parseSize(text)).toBe(expected);
  });

  it("refuses what can't be handled exactly", () => {
    expect(() => requireSize("9007199254740992", "image size")).toThrow(
      "Invalid image size specified. Must be between 0 and 9007199254740991.",
    );
  });
});

describe("parseKeyValues", () => {
  it.each([
    ["a=b,c=d", ["a=b", "c=d"]],
    ["a=b,,c,d=e", ["a=b,c", "d=e"]],
    ["a=b=c", ["a=b=c"]],
    ["a,b", ["a", "b"]],
    ["a=,b", ["a=", "b"]],
    ["a=1,,,b=2", ["a=1,", "b=2"]],
    ["", []],
  ])("splits '%s'", (text, expected) => {
    const pairs = parseKeyValues(text).map(({ key, value }) => (value === undefined ? key : `${key}=${value}`));
    expect(pairs).toEqual(expected);
  });
});

describe("create options", () => {
  it("adds up several lists, the last value counts", () => {
    const values = parseCreateOptions(["cluster_size=4k,lazy_refcounts", "cluster_size=8k,refcount_bits=1"], "qcow2");
    expect([...values]).toEqual([
      ["cluster_size", 8192],
      ["lazy_refcounts", true],
      ["refcount_bits", 1],
    ]);
  });

  it.each(["", "a,", ",a", "a,,,", ",,,a"])("refuses the list '%s'", (text) => {
    expect(() => {
      checkOptionList(text);
    }).toThrow(`Invalid option list: ${text}`);
  });

  it.each(["a", "a,,", ",,a", "a=b,c=d", "a,,b"])("accepts the list '%s'", (text) => {
    expect(() => {
      checkOptionList(text);
    }).not.toThrow();
  });
});

describe("parseSnapshotOption", () => {
  it("takes an id or name, or both by key", () => {
    expect(parseSnapshotOption("one")).toBe("one");
    expect(parseSnapshotOption("snapshot.id=1")).toEqual({ id: "1" });
    expect(parseSnapshotOption("snapshot.id=1,snapshot.name=a,,b")).toEqual({ id: "1", name: "a,b" });
    expect(() => parseSnapshotOption("snapshot.foo=1")).toThrow("Invalid parameter 'snapshot.foo'");
  });
});
