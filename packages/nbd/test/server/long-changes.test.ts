import { anyLimits, type Storage } from "@img/format-core";
import { expect, test } from "vitest";
import { commands } from "../../src/protocol/transmission-numbers.ts";
import { NbdServer } from "../../src/server/nbd-server.ts";
import { storageExport } from "../../src/server/storage-export.ts";
import { use } from "../helpers/in-process.ts";

const mib = 1024 * 1024;
const gib = 1024 * mib;

/** A storage of 1 TiB that takes 15 ms of the processor for every change, however long it is. */
function busyStorage(changed: [number, number][]): Storage {
  const change = (offset: number, length: number): void => {
    changed.push([offset, length]);
    for (const end = performance.now() + 15; performance.now() < end;);
  };
  return {
    label: "busy",
    size: 1024 * gib,
    writable: true,
    limits: anyLimits,
    read: (into) => {
      into.fill(0);
    },
    write: () => undefined,
    writeZeroes: change,
    discard: change,
    flush: () => undefined,
    sync: () => undefined,
    [Symbol.asyncDispose]: async () => undefined,
  };
}

test.each(["trim", "writeZeroes"] as const)(
  "a long %s is done piece by piece, with others' turns in between",
  async (name) => {
    const changed: [number, number][] = [];
    const server = new NbdServer(new Map([["disk", storageExport(busyStorage(changed))]]));
    const [busy, other] = [await use(server), await use(server)];
    const order: string[] = [];
    const change = { type: commands[name], offset: mib, length: gib };
    const changing = busy.probe.call(change).then(({ error }) => order.push(error ?? "changed"));
    const reading = other.probe.call({ type: commands.read, offset: 0, length: 512 }).then(() => order.push("read"));
    await Promise.all([changing, reading]);
    expect(order).toEqual(["read", "changed"]);
    expect(changed[0]).toEqual([mib, 63 * mib]);
    expect(changed[1]).toEqual([64 * mib, 64 * mib]);
    expect(changed.reduce((sum, [, length]) => sum + length, 0)).toBe(gib);
  },
);

test("a long change ends with its client", async () => {
  const changed: [number, number][] = [];
  const failures: unknown[] = [];
  const observer = { failed: (_: unknown, error: unknown) => failures.push(error) };
  const server = new NbdServer(new Map([["disk", storageExport(busyStorage(changed))]]), { observer });
  const { probe } = await use(server);
  // as long as 32 bits allow
  await probe.send(probe.request({ type: commands.trim, offset: 0, length: 4 * gib - mib }).bytes);
  await new Promise((resolve) => setTimeout(resolve, 50));
  probe.stream.destroy();
  await server.close({ grace: 0 });
  expect(changed.length).toBeGreaterThan(0);
  expect(changed.length).toBeLessThan(40);
  expect(failures).toEqual([]);
});
