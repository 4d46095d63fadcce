import { openerForLocation, runSync } from "@img/format-core";
import { qcow2, type Snapshot } from "@img/qcow2";
import { FileStorage } from "@img/storage-fs";
import type { ParsedArguments } from "../arguments/parsed-arguments.ts";
import { UsageError } from "../arguments/usage-error.ts";
import { dumpExtensions, dumpHeader } from "../dump/dump-header.ts";
import { dumpL1, l2TableOffset, type L1Place } from "../dump/dump-l1.ts";
import { dumpL2 } from "../dump/dump-l2.ts";
import {
  dumpRefcountBlock,
  dumpRefcountTable,
  refcountBlockOffset,
  refcountTableLength,
} from "../dump/dump-refcounts.ts";
import { printSection, printSectionJson, type DumpSection } from "../dump/dump-section.ts";
import { readRawHeader, type RawHeader } from "../dump/raw-header.ts";
import { RawImageFile } from "../dump/raw-image-file.ts";
import { entryIndex, tableGeometry } from "../dump/table-geometry.ts";
import { CommandError } from "../errors/command-error.ts";
import { openFailure } from "../errors/open-failure.ts";
import { imageSpec, type SpecifiedImage } from "../images/open-named.ts";
import { oneOperand } from "../values/operand.ts";
import { outputFormat } from "../values/output-format.ts";
import { parseSnapshotOption, type SnapshotOption } from "../values/snapshot-option.ts";
import type { VerbContext } from "./verb.ts";

const structures = ["header", "extensions", "l1", "l2", "refcount-table", "refcount-block"] as const;

/** `img dump`: looks at the file itself, so that it also works on images that nothing else can open. */
export async function run({ args, terminal }: VerbContext): Promise<number> {
  const output = outputFormat(args);
  const structure = askedStructure(args);
  const named = imageSpec(oneOperand(args), args, args.has("image-opts") ? undefined : "qcow2");
  const storage = openFile(named);
  try {
    const file = new RawImageFile(storage);
    const section = dump(structure, file, named, args);
    await (output === "json" ? printSectionJson(section, terminal) : printSection(section, terminal));
    return 0;
  } catch (error) {
    throw openFailure(error, named);
  } finally {
    await storage.close();
  }
}

function askedStructure(args: ParsedArguments): (typeof structures)[number] {
  const asked = structures.filter((structure) => args.has(structure));
  if (asked.length > 1) {
    throw new UsageError(`--${asked.join(" and --")}: expected one of them`);
  }
  return asked[0] ?? "header";
}

function openFile(named: SpecifiedImage): FileStorage {
  const { path, forceShare = false, storages = {} } = named.spec;
  if (openerForLocation(path, storages) !== undefined) {
    throw new CommandError(`Could not open '${named.name}': only files can be dumped [ERR_IMG_UNSUPPORTED]`);
  }
  try {
    return FileStorage.openSync(path, { blocking: "always", forceShare });
  } catch (error) {
    throw openFailure(error, named);
  }
}

function dump(
  structure: (typeof structures)[number],
  file: RawImageFile,
  named: SpecifiedImage,
  args: ParsedArguments,
): DumpSection {
  const header = readRawHeader(file, named.name);
  switch (structure) {
    case "header":
      return dumpHeader(file, header);
    case "extensions":
      return dumpExtensions(file, header);
    case "l1":
      return dumpL1(file, l1Place(header, named, args), tableGeometry(header));
    case "l2": {
      const place = l1Place(header, named, args);
      const index = entryIndex(args.value("l2") ?? "", place.count, "L1 entry");
      return dumpL2(file, existing(l2TableOffset(file, place, index), "L2 table", index), index, tableGeometry(header));
    }
    case "refcount-table":
      return dumpRefcountTable(file, header, tableGeometry(header));
    case "refcount-block": {
      const geometry = tableGeometry(header);
      const index = entryIndex(
        args.value(structure) ?? "",
        refcountTableLength(header, geometry),
        "refcount table entry",
      );
      const offset = existing(refcountBlockOffset(file, header, index), "refcount block", index);
      return dumpRefcountBlock(file, offset, index, geometry);
    }
  }
}

function existing(offset: bigint, what: string, index: number): bigint {
  if (offset === 0n) {
    throw new CommandError(`there is no ${what} ${String(index)}`);
  }
  return offset;
}

function l1Place(header: RawHeader, named: SpecifiedImage, args: ParsedArguments): L1Place {
  const wanted = args.value("l");
  return wanted === undefined
    ? { offset: header.value("l1_table_offset"), count: Number(header.value("l1_size")) }
    : snapshotL1(named, parseSnapshotOption(wanted));
}

function snapshotL1(named: SpecifiedImage, wanted: SnapshotOption): L1Place {
  const image = runSync(qcow2.openIo(openFile(named), { inspect: true }));
  try {
    const { snapshots } = image.driver.info;
    const snapshot = findSnapshot(snapshots, wanted);
    return { offset: BigInt(snapshot.l1TableOffset), count: snapshot.l1Size };
  } finally {
    runSync(image.io.close());
  }
}

function findSnapshot(snapshots: readonly Snapshot[], wanted: SnapshotOption): Snapshot {
  const found =
    typeof wanted === "string"
      ? (snapshots.find(({ id }) => id === wanted) ?? snapshots.find(({ name }) => name === wanted))
      : snapshots.find(({ id, name }) => id === (wanted.id ?? id) && name === (wanted.name ?? name));
  if (found === undefined) {
    throw new CommandError("Can't find snapshot");
  }
  return found;
}
