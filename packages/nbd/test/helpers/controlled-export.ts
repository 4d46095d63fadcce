import type { IoVector } from "@img/io-vector";
import type { NbdExport } from "../../src/server/nbd-export.ts";

/** A call that waits until the test lets it go on. */
export interface HeldCall {
  readonly verb: "read" | "write" | "flush";
  readonly offset: number;
  readonly length: number;
  finish(): void;
  fail(error: unknown): void;
}

/** An export whose calls wait until the test lets them go on, in any order. Reads give the low byte of the offset in MiB. */
export class ControlledExport {
  readonly calls: HeldCall[] = [];
  readonly finished: string[] = [];
  readonly export: NbdExport;
  released = 0;

  constructor(size: number) {
    const hold = (verb: HeldCall["verb"], offset: number, length: number, effect?: () => void): Promise<void> =>
      new Promise((resolve, reject) => {
        const finish = (): void => {
          effect?.();
          this.finished.push(verb);
          resolve();
        };
        this.calls.push({ verb, offset, length, finish, fail: reject });
      });
    this.export = {
      size,
      writable: true,
      read: (into: IoVector, offset: number) =>
        hold("read", offset, into.length, () => {
          into.fill(Math.floor(offset / 2 ** 20) % 256);
        }),
      write: (from: IoVector, offset: number) => hold("write", offset, from.length),
      flush: () => hold("flush", 0, 0),
      release: () => {
        this.released++;
      },
    };
  }

  /** Lets everything go on, now and later. */
  finishAll(): void {
    for (const call of this.calls.splice(0)) {
      call.finish();
    }
    this.calls.push = (...calls: HeldCall[]) => {
      for (const call of calls) {
        call.finish();
      }
      return 0;
    };
  }
}
