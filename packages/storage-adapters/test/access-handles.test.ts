import { isSyncStorage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { describe, expect, it } from "vitest";
import { syncAccessHandleStorage } from "../src/index.ts";
import { pattern } from "./support/bytes.ts";
import { FakeAccessHandle, FakeFile } from "./support/fake-access-handle.ts";

const contents = pattern(10_000);

describe("an access handle", () => {
  it("has the synchronous facet, and answers at once without it", () => {
    const storage = syncAccessHandleStorage(new FakeAccessHandle(new FakeFile(contents)));
    expect(isSyncStorage(storage)).toBe(true);
    const bytes = new Uint8Array(4);
    expect(storage.read(IoVector.single(bytes), 9)).toBe(undefined);
    expect(bytes).toEqual(contents.slice(9, 13));
  });

  it("says where a full quota stopped a write, and knows its length afterwards", () => {
    const file = new FakeFile(contents);
    file.quota = 12_000;
    file.longestTransfer = 1500;
    const storage = syncAccessHandleStorage(new FakeAccessHandle(file), { label: "disk" });
    const write = (): void => {
      storage.writeSync(IoVector.single(pattern(5000)), 10_000);
    };
    expect(write).toThrow("disk: cannot write 5000 bytes at 0x2710: no capacity available");
    expect(write).toThrow(expect.objectContaining({ code: "ENOSPC", cause: expect.any(DOMException) as unknown }));
    expect(storage.size).toBe(11_500);
  });

  it.each(["zero", "allocate", "write"] as const)(
    "restores its length when growing fails, preallocation %s",
    (mode) => {
      const file = new FakeFile(contents);
      file.quota = 3 * 2 ** 20;
      const storage = syncAccessHandleStorage(new FakeAccessHandle(file));
      expect(() => storage.resizeSync?.(2 ** 22, mode)).toThrow(expect.objectContaining({ code: "ENOSPC" }));
      expect(storage.size).toBe(contents.length);
      expect(file.bytes).toEqual(contents);
    },
  );

  it("writes zeroes where space is to be reserved", () => {
    const file = new FakeFile(contents);
    const storage = syncAccessHandleStorage(new FakeAccessHandle(file));
    storage.resizeSync?.(15_000, "allocate");
    expect(file.calls).toContain("write 5000 at 10000");
    storage.resizeSync?.(20_000);
    expect(file.calls).toContain("truncate 20000");
  });

  it("fails when the browser takes nothing, instead of trying forever", () => {
    const handle = Object.assign(new FakeAccessHandle(new FakeFile(contents)), { write: () => 0 });
    const storage = syncAccessHandleStorage(handle);
    expect(() => {
      storage.writeSync(IoVector.single(pattern(5)), 0);
    }).toThrow(expect.objectContaining({ code: "EIO" }));
  });

  it("makes durable with flush, and never again after that has failed", () => {
    const file = new FakeFile(contents);
    const handle = new FakeAccessHandle(file);
    const storage = syncAccessHandleStorage(handle);
    storage.flushSync();
    expect(file.calls).not.toContain("flush");
    storage.syncSync();
    expect(file.calls).toContain("flush");
    let times = 0;
    handle.flush = (): void => {
      times++;
      throw new DOMException("disk is gone", "InvalidStateError");
    };
    const sync = (): void => {
      storage.syncSync();
    };
    expect(sync).toThrow("opfs: cannot sync: disk is gone");
    expect(sync).toThrow(expect.objectContaining({ code: "EIO" }));
    expect(times).toBe(1);
  });

  it("sees what others did to the file when it is told to look again", () => {
    const file = new FakeFile(contents);
    const storage = syncAccessHandleStorage(new FakeAccessHandle(file, "readwrite-unsafe"));
    syncAccessHandleStorage(new FakeAccessHandle(file, "readwrite-unsafe")).resizeSync?.(500);
    expect(storage.size).toBe(10_000);
    const bytes = new Uint8Array(100).fill(7);
    storage.readSync(IoVector.of(bytes.subarray(0, 60), bytes.subarray(60)), 450);
    expect(bytes).toEqual(Uint8Array.from([...contents.subarray(450, 500), ...new Uint8Array(50)]));
    storage.invalidateSync?.();
    expect(storage.size).toBe(500);
  });

  it("gives up its lock when it is closed, unless it isn't its own", () => {
    const file = new FakeFile(contents);
    const lent = new FakeAccessHandle(file);
    syncAccessHandleStorage(lent, { close: false })[Symbol.dispose]();
    expect(lent.getSize()).toBe(10_000);
    const storage = syncAccessHandleStorage(lent);
    storage[Symbol.dispose]();
    storage[Symbol.dispose]();
    expect(file.calls.filter((call) => call === "close")).toHaveLength(1);
    expect(() => new FakeAccessHandle(file)).not.toThrow();
  });

  it("is refused where it answers with promises, as it did once", () => {
    const handle = new FakeAccessHandle(new FakeFile(contents));
    const old = Object.assign(handle, { getSize: () => Promise.resolve(5) as unknown as number });
    expect(() => syncAccessHandleStorage(old)).toThrow(expect.objectContaining({ code: "ERR_IMG_UNSUPPORTED" }));
  });

  it("says what is wrong when it was closed by somebody else", () => {
    const handle = new FakeAccessHandle(new FakeFile(contents));
    const storage = syncAccessHandleStorage(handle);
    handle.close();
    expect(() => {
      storage.readSync(IoVector.single(new Uint8Array(1)), 0);
    }).toThrow("opfs: cannot read 1 bytes at 0x0: the access handle was already closed");
  });
});
