import { describe, expect, it } from "vitest";
import {
  alignDown,
  alignUp,
  checkOffset,
  checkRange,
  guestOffset,
  hex,
  hostOffset,
  ImgError,
  isImgError,
  uint64,
  wrapHostError,
} from "../src/index.ts";
import { hostError } from "./helpers/watched-storage.ts";

describe("ImgError", () => {
  it("carries what it is told, and nothing of what it isn't", () => {
    const cause = new Error("below");
    const error = new ImgError("ERR_IMG_UNSUPPORTED", "no", { cause, feature: "bitmaps", bit: 0, subject: "disk" });
    expect(error).toMatchObject({
      name: "ImgError",
      code: "ERR_IMG_UNSUPPORTED",
      cause,
      feature: "bitmaps",
      bit: 0,
      subject: "disk",
    });
    expect("cause" in new ImgError("EIO", "no")).toBe(false);
    expect(error).toBeInstanceOf(Error);
    expect(String(error)).toBe("ImgError: no");
  });

  it("knows errors of another copy of the package, and only those", () => {
    const other = Object.create(Error.prototype, {
      [Symbol.for("@img/format-core/ImgError")]: { value: true },
      code: { value: "EIO" },
    }) as Error;
    expect(other instanceof ImgError).toBe(true);
    expect([isImgError(other), isImgError(other, "EIO"), isImgError(other, "ENOENT")]).toEqual([true, true, false]);
    for (const none of [new Error("x"), null, undefined, "ImgError", { code: "EIO" }]) {
      expect(isImgError(none)).toBe(false);
    }
  });
});

describe("wrapHostError", () => {
  it("keeps the host's code and says what was being done, once", () => {
    const host = hostError("ENOSPC");
    const wrapped = wrapHostError(host, "cannot write", "disk");
    expect(wrapped).toMatchObject({
      code: "ENOSPC",
      message: "cannot write: ENOSPC: as the host says",
      cause: host,
      subject: "disk",
    });
    expect(wrapHostError(wrapped, "again")).toBe(wrapped);
  });

  it("calls what has no code an I/O error", () => {
    expect(wrapHostError(new Error("odd"), "reading")).toMatchObject({ code: "EIO", message: "reading: odd" });
    expect(wrapHostError("a string", "reading")).toMatchObject({ code: "EIO", message: "reading: a string" });
    expect(wrapHostError({ code: 5 }, "reading")).toMatchObject({ code: "EIO" });
  });

  it("keeps the host's code of a cause, also of the TypeErrors of fetch", () => {
    const cause = hostError("ECONNREFUSED");
    for (const error of [new TypeError("fetch failed", { cause }), new Error("fetch failed", { cause })]) {
      expect(wrapHostError(error, "reading")).toMatchObject({ code: "ECONNREFUSED", message: "reading: fetch failed" });
    }
  });

  it("tells of what can't be made text", () => {
    const failing = {
      toString: () => {
        throw new Error("no");
      },
    };
    for (const thrown of [Object.create(null) as unknown, failing]) {
      const message = "reading: a value of type object";
      expect(wrapHostError(thrown, "reading")).toMatchObject({ code: "EIO", message, cause: thrown });
    }
  });

  it("passes mistakes and aborts on", () => {
    for (const error of [
      new TypeError("x"),
      new RangeError("x"),
      Object.assign(new Error("x"), { name: "AbortError" }),
      Object.assign(new Error("x"), { code: "ABORT_ERR" }),
    ]) {
      expect(wrapHostError(error, "reading")).toBe(error);
    }
  });
});

describe("offsets", () => {
  it("are safe integers from 0 on", () => {
    expect([guestOffset(0), hostOffset(Number.MAX_SAFE_INTEGER)]).toEqual([0, 2 ** 53 - 1]);
    for (const value of [-1, 0.5, Number.NaN, Infinity, 2 ** 53]) {
      expect(() => guestOffset(value)).toThrow(RangeError);
      expect(() => hostOffset(value)).toThrow(RangeError);
      expect(() => checkOffset(value, "size")).toThrow("size");
      expect(() => checkRange(0, value)).toThrow(RangeError);
    }
    expect(() => checkRange(2 ** 53 - 1, 1)).toThrow("ends past 2^53-1");
    checkRange(2 ** 53 - 1, 0);
  });

  it("come from 64-bit integers exactly, or not at all", () => {
    expect(uint64(0, 0xffffffff, "size")).toBe(0xffffffff);
    expect(uint64(1, 0, "size")).toBe(2 ** 32);
    expect(uint64(0x1fffff, 0xffffffff, "size")).toBe(2 ** 53 - 1);
    expect(() => uint64(0x200000, 5, "size")).toThrow(
      expect.objectContaining({
        code: "ERR_IMG_CORRUPT",
        message: "size is 0x20000000000005: expected at most 0x1fffffffffffff",
      }),
    );
  });

  it("round to any alignment, past 32 bits too", () => {
    const large = 2 ** 40 + 5;
    expect([alignDown(large, 4096), alignUp(large, 4096), alignUp(large, 3)]).toEqual([
      2 ** 40,
      2 ** 40 + 4096,
      2 ** 40 + 5,
    ]);
    expect([alignDown(0, 512), alignUp(0, 512), alignUp(512, 512)]).toEqual([0, 0, 512]);
    expect(hex(2 ** 40)).toBe("0x10000000000");
  });
});
