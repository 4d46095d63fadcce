import { describe, expect, it } from "vitest";
import { hashOrdered } from "../src/images/hash-order.ts";
import { humanSize } from "../src/output/human-size.ts";
import { infoText } from "../src/output/info-text.ts";
import { mapLine } from "../src/output/map-text.ts";
import { printable } from "../src/output/printable.ts";
import { qemuJson, qemuJsonLine } from "../src/output/qemu-json.ts";

describe("humanSize", () => {
  it.each([
    [0, "0 B"],
    [999, "999 B"],
    [1000, "0.977 KiB"],
    [1024, "1 KiB"],
    [1536, "1.5 KiB"],
    [200704, "196 KiB"],
    [524800, "512 KiB"],
    [525824, "514 KiB"],
    [1023898, "1e+03 KiB"],
    [1024000, "0.977 MiB"],
    [2297856, "2.19 MiB"],
    [10 * 2 ** 30, "10 GiB"],
    [2 ** 53, "8 PiB"],
    [2 ** 63, "8 EiB"],
  ])("%i bytes are %s", (bytes, expected) => {
    expect(humanSize(bytes)).toBe(expected);
  });
});

describe("qemuJson", () => {
  it("indents by four and spreads empty arrays over two lines", () => {
    expect(qemuJson({ a: 1, b: [], c: { d: [true, null] }, e: undefined, f: {} })).toBe(
      '{\n    "a": 1,\n    "b": [\n    ],\n    "c": {\n        "d": [\n            true,\n            null\n        ]\n    },\n' +
        '    "f": {\n    }\n}',
    );
  });

  it("escapes like QEMU: upper case, everything beyond ASCII, and DEL", () => {
    expect(qemuJson('\u0001\n\t"\\é\u007f😀\\u00e9')).toBe(
      '"\\u0001\\n\\t\\"\\\\\\u00E9\\u007F\\uD83D\\uDE00\\\\u00e9"',
    );
    expect(qemuJson("\u001f")).toBe('"\\u001F"');
  });

  it("keeps large integers exact", () => {
    expect(qemuJson(2n ** 63n + 1n)).toBe("9223372036854775809");
  });

  it("writes on one line with blanks", () => {
    expect(qemuJsonLine({ a: [1, 2], b: undefined, c: "x" })).toBe('{"a": [1, 2], "c": "x"}');
  });
});

describe("hashOrdered", () => {
  it("orders keys as QEMU's dictionaries do", () => {
    const info = ["filename", "format", "virtual-size", "snapshots", "cluster-size", "actual-size", "dirty-flag"];
    expect(Object.keys(hashOrdered(Object.fromEntries(info.map((key) => [key, 1]))))).toEqual([
      "snapshots",
      "virtual-size",
      "filename",
      "cluster-size",
      "format",
      "actual-size",
      "dirty-flag",
    ]);
    expect(Object.keys(hashOrdered({ driver: 1, file: 1, offset: 1, size: 1 }))).toEqual([
      "offset",
      "driver",
      "size",
      "file",
    ]);
  });
});

describe("printable", () => {
  it("lets nothing through that could rewrite a terminal", () => {
    expect(printable("a\u001b[2Jb\r\n\u009b\u202e\u007fé")).toBe("a\\x1b[2Jb\\x0d\\x0a\\x9b\\u202e\\x7fé");
  });

  it("is used for every name that info and map print", () => {
    const evil = "x\u001b[31m";
    const text = infoText({
      filename: evil,
      format: "qcow2",
      "virtual-size": 0,
      "dirty-flag": false,
      "backing-filename": evil,
      "full-backing-filename": `/${evil}`,
      "backing-filename-format": evil,
      snapshots: [
        {
          id: evil,
          name: evil,
          "vm-state-size": 0,
          "date-sec": 0,
          "date-nsec": 0,
          "vm-clock-sec": 0,
          "vm-clock-nsec": 0,
        },
      ],
      "format-specific": { type: "qcow2", data: { "data-file": evil, bitmaps: [{ name: evil, flags: [evil] }] } },
    });
    expect(text).not.toContain("\u001b");
    expect(text.match(/\\x1b/g)).toHaveLength(9);
    const entry = { start: 0, length: 1, depth: 0, present: true, zero: false, data: true, compressed: false };
    expect(mapLine({ ...entry, offset: 0 as never }, evil)).not.toContain("\u001b");
  });
});
