import type { Finding } from "../check/finding.ts";

/** Entries that are changed before the image is walked anew. */
const mostEntries = 65536;

/** An entry that something is wrong with. */
export interface WrongEntry {
  readonly table: "l1" | "l2";
  readonly guestOffset: number;
  /** Findings that are about it. */
  readonly findings: number;
}

/** What the findings of one walk ask for. */
export class RepairNeeds {
  /** By where they lie. */
  readonly entries: Map<number, WrongEntry> = new Map<number, WrongEntry>();
  /** Snapshots that lack a part of their entry. */
  incompleteSnapshots = 0;
  /** The refcounts can't be put right where they are. */
  rebuilds = false;
  /** Clusters that are in use, but free by their refcounts. */
  uncounted = false;
  tooSmall = 0;
  leaks = 0;
  /** COPIED flags that disagree with refcounts. */
  copiedFlags = 0;

  /** Takes a finding down. */
  note(finding: Finding): void {
    switch (finding.repair) {
      case "clear-bits":
      case "make-zero":
      case "unallocate":
      case "shorten":
      case "set-offset":
        this.#noteEntry(finding);
        break;
      case "set-copied":
      case "clear-copied":
        if (finding.kind === "compressed-copied") {
          this.#noteEntry(finding);
        } else {
          this.copiedFlags++;
        }
        break;
      case "complete-entry":
        this.incompleteSnapshots++;
        break;
      case "rebuild-refcounts":
        this.rebuilds = true;
        break;
      case "set-refcount":
        this.#noteRefcount(finding);
        break;
      case "copy":
      case "none":
        break;
    }
  }

  #noteRefcount({ kind, refcount }: Finding): void {
    if (kind === "leak") {
      this.leaks++;
    } else {
      this.tooSmall++;
      this.uncounted ||= refcount === 0;
    }
  }

  #noteEntry({ entryOffset, table, guestOffset = 0 }: Finding): void {
    if (entryOffset === undefined || table === undefined) {
      return;
    }
    const known = this.entries.get(entryOffset);
    if (known !== undefined || this.entries.size < mostEntries) {
      this.entries.set(entryOffset, { table, guestOffset, findings: (known?.findings ?? 0) + 1 });
    }
  }
}
