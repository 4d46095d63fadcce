import { syncStorage, type Io, type Storage } from "@img/format-core";
import { checkResult, countReferences, type CheckWalk } from "../check/check-image.ts";
import type { CheckResult } from "../check/check-result.ts";
import type { CheckState } from "../check/check-state.ts";
import { Findings } from "../check/findings.ts";
import { countedRefcountBlocks } from "../check/refcount-block-references.ts";
import { autoclear, hasFeature, incompatible, type FeatureBits } from "../header/features.ts";
import { greatestRefcount } from "../refcounts/refcount.ts";
import { HeaderWriter } from "../write/header-writer.ts";
import { applyMoves, placeMoves } from "./apply-moves.ts";
import { changeRefcounts } from "./change-refcounts.ts";
import { fillLastCluster } from "./fill-last-cluster.ts";
import { findMoves, type Move } from "./find-moves.ts";
import { FreeClusters } from "./free-clusters.ts";
import { completeSnapshotTable, moveSnapshotTable } from "./move-snapshot-table.ts";
import { rebuildRefcounts } from "./rebuild-refcounts.ts";
import { repairCopiedFlags } from "./repair-copied-flags.ts";
import { repairEntries } from "./repair-entries.ts";
import { RepairNeeds } from "./repair-needs.ts";
import type { ApplyRepairOptions } from "./repair-options.ts";
import type { RepairPlan } from "./repair-plan.ts";
import { RepairSteps } from "./repair-steps.ts";
import { isEntangled } from "./safe-location.ts";

const defaultMaxFindings = 1000;

/** What shares its place with refcounts can be put right once these are elsewhere. */
const mostPasses = 4;

/** What is copied, tables and then what is below them, is found in two rounds or three. */
const mostMoveRounds = 6;
/** So many copies are made of any image. */
const leastMoves = 1024;

/** A walk, and what it asks for. */
interface Round {
  readonly walk: CheckWalk;
  readonly needs: RepairNeeds;
  readonly result: CheckResult;
}

/**
 * One repair. It walks the image, changes what can be changed at once, and walks it anew until there is nothing left to do. Whatever is written next
 * relies on what was synced before, so it may end anywhere; the next repair goes on from there.
 */
export class RepairRun {
  readonly #storage: Storage;
  readonly #options: ApplyRepairOptions;
  readonly #most: number;
  readonly #steps: RepairSteps;
  #corruptionsFixed = 0;
  #leaksFixed = 0;
  #hasBegun = false;
  /** How often, and how much was copied. */
  #moveRounds = 0;
  #moves = 0;
  /** Entries that would need copies of encrypted data. */
  #bound = 0;

  constructor(storage: Storage, options: ApplyRepairOptions) {
    this.#storage = storage;
    this.#options = options;
    this.#most = options.maxFindings ?? defaultMaxFindings;
    this.#steps = new RepairSteps(this.#most, options.onStep);
  }

  /** @param judge - sees what was found, before anything is written */
  *run(judge: (before: CheckResult) => void): Io<RepairPlan> {
    const first = yield* this.#walk(true);
    const before = first.result;
    judge(before);
    if (first.walk.table === undefined) {
      return this.#end(before, before, "snapshots");
    }
    if (isEntangled(first.walk.state)) {
      return this.#end(before, before, "tables");
    }
    const { needs } = first;
    if (this.#options.mode === "leaks" && (needs.rebuilds || needs.uncounted)) {
      return this.#end(before, before, "refcounts");
    }
    if (this.#options.mode === "leaks") {
      const last = yield* this.#repairLeaks(first);
      yield* this.#clearFlags(last);
      return this.#end(before, last.result, undefined);
    }
    let last = first;
    for (let pass = 0, stepCount = -1; pass < mostPasses && this.#steps.count !== stepCount; pass++) {
      stepCount = this.#steps.count;
      const structured = yield* this.#repairAllStructures(last);
      if (structured === undefined) {
        return this.#end(before, (yield* this.#walk()).result, "tables");
      }
      last = yield* this.#repairAll(structured);
    }
    yield* this.#clearFlags(last);
    return this.#end(before, last.result, this.#bound > 0 ? "encryption" : undefined);
  }

  #end(before: CheckResult, after: CheckResult, refused: RepairPlan["refused"]): RepairPlan {
    return {
      mode: this.#options.mode,
      before,
      after,
      corruptionsFixed: this.#corruptionsFixed,
      leaksFixed: this.#leaksFixed,
      steps: this.#steps.list,
      stepCount: this.#steps.count,
      refused,
    };
  }

  *#walk(tells = false): Io<Round> {
    const needs = new RepairNeeds();
    const findings = new Findings(this.#most, (finding) => {
      needs.note(finding);
      if (tells) {
        this.#options.onFinding?.(finding);
      }
    });
    const walk = yield* countReferences(this.#storage, findings, { anchors: true });
    for (const [entryOffset, guestOffset] of walk.state.anchors?.headless ?? []) {
      needs.entries.set(entryOffset, { table: "l1", guestOffset, findings: 1 });
    }
    return { walk, needs, result: checkResult(findings, walk) };
  }

  /** @returns the walk after which there is nothing left to do but refcounts; `undefined`: there is no end to it */
  *#repairAllStructures(first: Round): Io<Round | undefined> {
    for (let round = first; ; round = yield* this.#walk()) {
      const { moves, bound } = yield* findMoves(round.walk);
      this.#bound = bound;
      if (this.#isEndless(round, moves)) {
        return undefined;
      }
      const isChanged = moves.length > 0 ? yield* this.#move(round, moves) : yield* this.#repairStructures(round);
      if (!isChanged) {
        return round;
      }
    }
  }

  /** Tables that are made up of anything at all refer to themselves, and their copies do as well. */
  #isEndless({ walk: { state } }: Round, moves: readonly Move[]): boolean {
    if (moves.length > 0) {
      this.#moveRounds++;
      this.#moves += moves.length;
    }
    return this.#moveRounds > mostMoveRounds || this.#moves > Math.max(leastMoves, state.fileClusters);
  }

  *#move(round: Round, moves: readonly Move[]): Io<boolean> {
    const { state } = round.walk;
    yield* this.#begin(round);
    const free = new FreeClusters(state, false);
    const placed = placeMoves(state, moves, free);
    yield* this.#countTaken(round, free, liesOnRefcounts(state, moves));
    yield* applyMoves(state, placed, this.#steps);
    this.#corruptionsFixed += moves.length;
    return true;
  }

  *#repairAll(first: Round): Io<Round> {
    let round = first;
    const before = round;
    // new refcount blocks may be needed before old ones can be let go
    for (let pass = 0; pass < 3 && (yield* this.#repairRefcounts(round)); pass++) {
      round = yield* this.#walk();
    }
    this.#countFixed(before, round);
    return yield* this.#repairCopied(round);
  }

  /** Counts what the right refcounts put right: flags that disagreed with wrong ones weren't wrong themselves. */
  #countFixed(before: Round, after: Round): void {
    const others = ({ result, needs }: Round): number => result.corruptions - needs.copiedFlags;
    this.#corruptionsFixed += Math.max(others(before) - others(after), 0);
    this.#leaksFixed += Math.max(before.result.leaks - after.result.leaks, 0);
  }

  *#repairLeaks(first: Round): Io<Round> {
    let round = first;
    if (round.needs.leaks > 0 && round.walk.state.complete) {
      yield* this.#begin(round);
      yield* this.#lowerRefcounts(round);
      round = yield* this.#walk();
      this.#countFixed(first, round);
    }
    const { corruptions, leaks, checkErrors } = round.result;
    if (corruptions === round.needs.copiedFlags && leaks === 0 && checkErrors === 0) {
      round = yield* this.#repairCopied(round);
    }
    return round;
  }

  /** @returns whether something was changed, so that everything else has to be looked at anew */
  *#repairStructures(round: Round): Io<boolean> {
    const { walk, needs } = round;
    if (needs.entries.size > 0) {
      yield* this.#begin(round);
      const repaired = yield* repairEntries(walk.state, needs.entries, this.#steps);
      this.#corruptionsFixed += repaired;
      if (repaired > 0) {
        return true;
      }
    }
    if (walk.state.cutTable) {
      yield* this.#begin(round);
      yield* fillLastCluster(walk.state, this.#steps);
      return true;
    }
    if (needs.incompleteSnapshots > 0 && walk.table !== undefined) {
      yield* this.#begin(round);
      const table = yield* completeSnapshotTable(walk.state, walk.table.length);
      const free = new FreeClusters(walk.state, false);
      const { clusterSize } = walk.state;
      const offset = free.take(Math.ceil(table.length / clusterSize)) * clusterSize;
      yield* this.#countTaken(round, free);
      yield* moveSnapshotTable(walk.state, table, offset, this.#steps);
      this.#corruptionsFixed += needs.incompleteSnapshots;
      return true;
    }
    return false;
  }

  /**
   * Makes the refcounts of clusters durable that something is going to refer to.
   * @param rebuilds - don't touch the refcount blocks that there are
   */
  *#countTaken({ walk: { state }, needs }: Round, free: FreeClusters, rebuilds = false): Io<void> {
    const { recorded } = state;
    const hasBlocks = [...free.taken.keys()].every((cluster) => recorded.isPresent(cluster));
    if (!hasBlocks || needs.rebuilds || rebuilds) {
      yield* rebuildRefcounts(state, free, true, this.#steps);
      return;
    }
    const wanted = (cluster: number, refcount: number): number => Math.max(refcount, free.taken.get(cluster) ?? 0);
    yield* changeRefcounts(state, wanted, this.#steps);
    yield* syncStorage(this.#storage);
  }

  *#repairRefcounts(round: Round): Io<boolean> {
    const { walk, needs } = round;
    const { state } = walk;
    if (needs.rebuilds) {
      yield* this.#begin(round);
      yield* rebuildRefcounts(state, new FreeClusters(state, state.complete), !state.complete, this.#steps);
      return true;
    }
    if (needs.tooSmall > 0) {
      yield* this.#begin(round);
      const wanted = (cluster: number, refcount: number): number => Math.max(refcount, referencesOf(walk, cluster));
      yield* changeRefcounts(state, wanted, this.#steps);
      yield* syncStorage(this.#storage);
    }
    if (needs.leaks > 0 && state.complete) {
      yield* this.#begin(round);
      yield* this.#lowerRefcounts(round);
    }
    return needs.tooSmall > 0 || (needs.leaks > 0 && state.complete);
  }

  *#lowerRefcounts({ walk }: Round): Io<void> {
    const wanted = (cluster: number, refcount: number): number => Math.min(refcount, referencesOf(walk, cluster));
    yield* changeRefcounts(walk.state, wanted, this.#steps);
    yield* syncStorage(this.#storage);
  }

  *#repairCopied(round: Round): Io<Round> {
    if (round.needs.copiedFlags === 0) {
      return round;
    }
    yield* this.#begin(round);
    this.#corruptionsFixed += yield* repairCopiedFlags(round.walk, this.#steps);
    return yield* this.#walk();
  }

  /** An image with nothing wrong in it is neither dirty nor corrupt. */
  *#clearFlags(round: Round): Io<void> {
    const { header } = round.walk.loaded;
    const { incompatibleFeatures: features } = header;
    const isMarked = hasFeature(features, incompatible.dirty) || hasFeature(features, incompatible.corrupt);
    if (!isMarked || round.result.corruptions > 0 || round.result.checkErrors > 0) {
      return;
    }
    yield* this.#begin(round);
    this.#steps.add({ kind: "clear-flags", message: "clear the dirty and the corrupt bit" });
    const marks = 2 ** incompatible.dirty + 2 ** incompatible.corrupt;
    yield* syncStorage(this.#storage);
    const writer = new HeaderWriter(this.#storage, () => undefined);
    yield* writer.setIncompatibleFeatures({ high: features.high, low: (features.low & ~marks) >>> 0 });
  }

  /** Before the first change: what isn't maintained must not be believed any more. */
  *#begin({ walk }: Round): Io<void> {
    if (this.#hasBegun) {
      return;
    }
    this.#hasBegun = true;
    const { autoclearFeatures: features } = walk.loaded.header;
    const kept: FeatureBits = { high: 0, low: (features.low & knownAutoclear) >>> 0 };
    if (kept.high !== features.high || kept.low !== features.low) {
      this.#steps.add({ kind: "clear-autoclear", message: "clear the unknown autoclear feature bits" });
      const writer = new HeaderWriter(this.#storage, () => undefined);
      yield* writer.setAutoclearFeatures(kept);
    }
  }
}

/** Whether what is going to be copied shares a cluster with a refcount block, and would change with it. */
function liesOnRefcounts(state: CheckState, moves: readonly Move[]): boolean {
  const { clusterSize } = state;
  const blocks = new Set(countedRefcountBlocks(state));
  return moves.some(({ offset, length }) => {
    const first = Math.floor(offset / clusterSize);
    const count = Math.ceil((offset + length) / clusterSize) - first;
    return Array.from({ length: count }, (_, index) => first + index).some((cluster) => blocks.has(cluster));
  });
}

const knownAutoclear = Object.values(autoclear).reduce<number>((bits, bit) => bits + 2 ** bit, 0);

/** References that a walk counted, wherever the cluster is. */
function referencesOf({ state }: CheckWalk, cluster: number): number {
  const counted = cluster < state.references.length ? state.references.get(cluster) : 0;
  return Math.min(counted + (state.beyond.get(cluster) ?? 0), greatestRefcount(state.header.refcountOrder));
}
