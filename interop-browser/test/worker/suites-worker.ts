import type { Storage } from "@img/format-core";
import { qcow2 } from "@img/qcow2";
import { blobStorage } from "@img/storage-adapters";
import { formatSuite, storageSuite, type TestCase } from "@img/testing";
import { diskFiles, forgetful, OpfsFiles } from "./opfs-files.ts";

/** How one case went; without `failure` it passed. */
interface CaseReport {
  readonly suite: string;
  readonly name: string;
  readonly failure?: string;
}

/** What is run in the browser. Cases that only take other random choices are few: Node runs those. */
async function* suites(): AsyncGenerator<readonly [name: string, cases: readonly TestCase[]]> {
  const directory = await navigator.storage.getDirectory();
  const files = new OpfsFiles(directory);
  const handles = { sync: true, resizes: true, invalidates: true, programs: 2 };
  yield ["an access handle", storageSuite(files, handles)];
  const wrong = new OpfsFiles(await directory.getDirectoryHandle("forgetful", { create: true }), forgetful);
  yield ["a forgetful access handle", storageSuite(wrong, handles)];
  yield ["a File", storageSuite(diskFiles(files), { writable: false, programs: 2 })];
  const create = (bytes: Uint8Array): Storage => blobStorage(new Blob([bytes.slice()]));
  yield ["a Blob", storageSuite({ create }, { writable: false, programs: 2 })];
  const most = { grows: true, shrinks: true, discardsToBacking: true, programs: 1, mutations: 20 };
  yield ["qcow2", formatSuite({ format: qcow2 }, most)];
}

async function run(): Promise<readonly CaseReport[]> {
  const reports: CaseReport[] = [];
  for await (const [suite, cases] of suites()) {
    for (const { name, run: runCase } of cases) {
      try {
        await runCase();
        reports.push({ suite, name });
      } catch (error) {
        reports.push({ suite, name, failure: error instanceof Error ? (error.stack ?? error.message) : String(error) });
      }
    }
  }
  return reports;
}

run().then(
  (reports) => {
    self.postMessage(reports);
  },
  (error: unknown) => {
    self.postMessage(String(error));
  },
);
