import { isImgError } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { SyncStorageBridge } from "@img/sync";
import type { BridgedDeed } from "./bridged-storage-worker.ts";

/** What came of each attempt, by what was attempted. */
type BridgeReport = Record<string, unknown>;

const specifier = new URL("bridged-storage-worker.js", self.location.href);

function outcome(action: () => unknown): unknown {
  try {
    return action();
  } catch (error) {
    return isImgError(error) ? `${error.code}: ${error.message}` : String(error);
  }
}

function open(deed: BridgedDeed, timeout = 30_000): Promise<SyncStorageBridge> {
  return SyncStorageBridge.open(specifier, { timeout, options: { deed } });
}

function readSync(bridge: SyncStorageBridge, offset: number): string {
  const vector = IoVector.single(new Uint8Array(6));
  bridge.readSync(vector, offset);
  return [...vector.toUint8Array()].join("");
}

async function run(): Promise<BridgeReport> {
  const report: BridgeReport = {};
  const bridge = await open("read");
  bridge.writeSync(IoVector.single(new Uint8Array(3_000_000).fill(5)), 8);
  report["written and read"] = [readSync(bridge, 5), bridge.size];
  const vector = IoVector.single(new Uint8Array(4));
  await bridge.read(vector, 3_000_006);
  report["read with a promise"] = [...vector.toUint8Array()].join("");
  bridge[Symbol.dispose]();
  report["closed"] = outcome(() => readSync(bridge, 0));
  for (const deed of [
    "close the worker",
    "throw elsewhere",
    "reject elsewhere",
    "refuse",
    "refuse shared memory",
  ] as const) {
    const other = await open(deed);
    report[deed] = outcome(() => readSync(other, 0));
    await other[Symbol.asyncDispose]().catch(() => undefined);
  }
  const silent = await open("nothing", 2000);
  report["nothing"] = outcome(() => readSync(silent, 0));
  const absent = SyncStorageBridge.open(new URL("nowhere.js", self.location.href));
  report["no module"] = await absent.catch((error: unknown) => isImgError(error, "EIO"));
  report["blocking before it starts"] = outcome(() => SyncStorageBridge.openSync(specifier, { timeout: 1000 }));
  return report;
}

run().then(
  (report) => {
    self.postMessage(report);
  },
  (error: unknown) => {
    self.postMessage({ failed: String(error) });
  },
);
