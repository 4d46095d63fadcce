import { MemoryStorage, type Storage } from "@img/format-core";
import type { IoVector } from "@img/io-vector";

/** What a bridged storage does when it is read. */
export type BridgedDeed =
  "read" | "close the worker" | "throw elsewhere" | "reject elsewhere" | "refuse" | "refuse shared memory" | "nothing";

/** A storage that answers with promises only, in the worker of a bridge. */
export async function open({ deed = "read" }: { readonly deed?: BridgedDeed } = {}): Promise<Storage> {
  const memory = new MemoryStorage(new Uint8Array(10).fill(1));
  return {
    label: "bridged",
    get size() {
      return memory.size;
    },
    writable: true,
    limits: memory.limits,
    read: async (into, offset) => {
      await before(deed, into);
      memory.read(into, offset);
    },
    write: async (from, offset) => {
      memory.write(from, offset);
    },
    flush: async () => undefined,
    sync: async () => undefined,
    [Symbol.asyncDispose]: async () => undefined,
  };
}

const never = (): Promise<void> => new Promise<void>(() => undefined);

async function before(deed: BridgedDeed, into: IoVector): Promise<void> {
  switch (deed) {
    case "read":
      return;
    case "close the worker":
      self.close();
      return never();
    case "throw elsewhere":
      setTimeout(() => {
        throw new Error("thrown elsewhere");
      });
      return never();
    case "reject elsewhere":
      void Promise.reject(new Error("rejected elsewhere"));
      return never();
    case "refuse":
      throw new DOMException("no permission", "NotAllowedError");
    case "refuse shared memory":
      if (into.buffers.some(({ buffer }) => buffer instanceof SharedArrayBuffer)) throw new TypeError("it is shared");
      return;
    case "nothing":
      return never();
  }
}
