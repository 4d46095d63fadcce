import type { Terminal } from "@img/cli";
import type { NbdExport } from "@img/nbd";
import { listSnapshots } from "@img/operations";
import type { ExportPlans } from "../arguments/export-plans.ts";
import type { ExportPlan } from "../exports/export-plan.ts";
import { ExportTable, type TableEntry } from "../exports/export-table.ts";
import { FolderExports } from "../exports/folder-exports.ts";
import { openExport, type OpenedImage } from "../exports/open-export.ts";
import type { OfferedExport } from "../exports/offered-export.ts";
import type { OpenedExport } from "../exports/opened-export.ts";
import { SharedExport } from "../exports/shared-export.ts";
import { openSnapshotExport, snapshotPlans } from "../exports/snapshot-exports.ts";

/** Makes of an image's export those that clients get. */
export type Decorate = (name: string, exported: NbdExport) => OfferedExport["forClient"];

/** Everything that a server offers, open where it is known. */
export class Offer implements AsyncDisposable {
  readonly table: ExportTable;
  readonly #opened: readonly OpenedExport[];

  private constructor(table: ExportTable, opened: readonly OpenedExport[]) {
    this.table = table;
    this.#opened = opened;
  }

  /**
   * Opens all images that are named; those in folders are opened when clients ask for them.
   * @throws CommandError when one can't be; the others are closed again
   */
  static async open(plans: ExportPlans, decorate: Decorate, terminal: Terminal): Promise<Offer> {
    const opened: OpenedExport[] = [];
    const entries: TableEntry[] = [];
    try {
      for (const plan of plans.exports) {
        const image = await openExport(plan.image, plan);
        opened.push(image);
        tellGuarded(plan, image, terminal);
        const forClient = decorate(plan.name, image.export);
        entries.push(entryOf(plan, async (gone) => forClient(gone)));
        for (const each of plan.allSnapshots ? snapshotPlans(plan, listSnapshots(image.access)) : []) {
          const shared = new SharedExport(() => decorated(each.name, openSnapshotExport(each), decorate));
          entries.push(entryOf(each, (gone) => shared.acquire(gone)));
        }
      }
      const folders = plans.folders.map(
        (plan) =>
          new FolderExports(plan, (name, path) => decorated(name, openExport(plan.imageOf(path), plan), decorate)),
      );
      return new Offer(new ExportTable(entries, folders), opened);
    } catch (error) {
      await closeAll(opened);
      throw error;
    }
  }

  /** Flushes and closes all images. @throws what failed first, when all are closed */
  async [Symbol.asyncDispose](): Promise<void> {
    const failures = await closeAll(this.#opened);
    if (failures.length > 0) {
      throw failures[0];
    }
  }
}

/** @returns what failed */
async function closeAll(opened: readonly OpenedExport[]): Promise<readonly unknown[]> {
  const results = await Promise.allSettled(opened.map((each) => each.close()));
  return results.flatMap((result) => (result.status === "rejected" ? [result.reason as unknown] : []));
}

async function decorated(name: string, opening: Promise<OpenedExport>, decorate: Decorate): Promise<OfferedExport> {
  const opened = await opening;
  return { forClient: decorate(name, opened.export), close: () => opened.close() };
}

function entryOf(plan: ExportPlan, acquire: TableEntry["acquire"]): TableEntry {
  return { name: plan.name, description: plan.description ?? "", tlsRequired: plan.tlsRequired, acquire };
}

function tellGuarded({ image }: ExportPlan, { guarded, access }: OpenedImage, terminal: Terminal): void {
  if (guarded) {
    const { format } = access.driver;
    terminal.note(
      `${terminal.program}: '${image.name}': the format was guessed (${format}): served read-only, '-f ${format}' allows to write\n`,
    );
  }
}
