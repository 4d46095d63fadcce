import { IoVector } from "@img/io-vector";
import { describe, expect, it } from "vitest";
import {
  FormatAccess,
  guestOffset,
  hostOffset,
  MemoryStorage,
  type FormatDriver,
  type HandledRange,
  type Io,
  type PreparedWrite,
  type ShallowMapping,
} from "../src/index.ts";
import { bothWorlds } from "./helpers/both-worlds.ts";

/** A driver of 4096 bytes that answers as it is told. */
class Answers implements FormatDriver {
  readonly format = "answers";
  readonly size = 4096;
  readonly storages: readonly MemoryStorage[] = [new MemoryStorage(new Uint8Array(4096))];
  readonly writable: boolean = true;
  mapping: ShallowMapping = {
    kind: "raw",
    storage: this.storages[0]!,
    offset: hostOffset(0),
    length: 4096,
    writable: true,
  };
  preparedLength = 4096;
  handled: HandledRange = { offset: guestOffset(0), length: 0 };
  aborted = 0;

  *getMapping(): Io<ShallowMapping> {
    return this.mapping;
  }

  *prepareWrite(): Io<PreparedWrite> {
    const abort = (): void => {
      this.aborted++;
    };
    const [storage] = this.storages as [MemoryStorage];
    return { storage, offset: hostOffset(0), length: this.preparedLength, commit: () => undefined, abort };
  }

  *ensureZeroMapping(): Io<HandledRange> {
    return this.handled;
  }

  *discardToAny(): Io<HandledRange> {
    return this.handled;
  }

  *flush(): Io<void> {}

  *sync(): Io<void> {}

  *close(): Io<void> {}

  toString(): string {
    return "answers[memory]";
  }
}

describe.each(bothWorlds)("a driver's answer that leads nowhere, in the $name world,", ({ run }) => {
  const ten = (): IoVector => IoVector.single(new Uint8Array(10));
  const named = (found: string): Error =>
    expect.objectContaining({
      code: "ERR_IMG_CORRUPT",
      subject: "answers[memory]",
      message: expect.stringContaining(found) as string,
    }) as Error;

  it("is refused when it maps nothing", async () => {
    for (const length of [0, -512, NaN]) {
      const { driver, io } = new FormatAccess(new Answers());
      driver.mapping = { kind: "zero", length, explicit: true };
      const found = named(`answers[memory] maps ${length} bytes at 0x10 as zero: expected at least 1`);
      await expect(run(io.read(ten(), 16))).rejects.toThrow(found);
      await expect(run(io.planRead(16, 10, true))).rejects.toThrow(found);
      await expect(run(io.getMapping(16, 10))).rejects.toThrow(found);
      await expect(run(io.getShallowMapping(16, 10))).rejects.toThrow(found);
      await expect(run(io.writeZeroes(16, 10, { allocate: true }))).rejects.toThrow(found);
    }
  });

  it("is refused when it is about an image below, with the name of that one", async () => {
    const below = new FormatAccess(new Answers());
    below.driver.mapping = { kind: "zero", length: 0, explicit: true };
    const { driver, io } = new FormatAccess(Object.assign(new Answers(), { toString: () => "above" }));
    driver.mapping = { kind: "indirect", layer: below, offset: guestOffset(32), length: 100, writable: false };
    await expect(run(io.read(ten(), 0))).rejects.toThrow(named("answers[memory] maps 0 bytes at 0x20"));
  });

  it("is refused, and given back, when nothing of it can be written", async () => {
    for (const length of [0, -1]) {
      const { driver, io } = new FormatAccess(new Answers());
      driver.preparedLength = length;
      const found = named(`made ${length} bytes at 0x8 writable`);
      await expect(run(io.write(ten(), 8))).rejects.toThrow(found);
      await expect(run(io.ensureDataMapping(8, 10, true))).rejects.toThrow(found);
      await expect(run(io.writeZeroes(8, 10, { allocate: true }))).rejects.toThrow(found);
      expect(driver.aborted).toBe(3);
    }
  });

  it("is refused when it takes care of another range", async () => {
    for (const [offset, length] of [
      [0, 4],
      [0, 100],
      [116, 4],
      [20, -8],
      [20, NaN],
    ] as const) {
      const { driver, io } = new FormatAccess(new Answers());
      driver.handled = { offset: guestOffset(offset), length };
      const found = named("expected a part of the 100 bytes at 0x10");
      await expect(run(io.writeZeroes(16, 100))).rejects.toThrow(found);
      await expect(run(io.discardToAny(16, 100))).rejects.toThrow(found);
    }
  });
});
