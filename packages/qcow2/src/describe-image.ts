import type { ImageDescription, JsonValue, SnapshotDescription } from "@img/format-core";
import type { BitmapEntry } from "./bitmaps/load-bitmaps.ts";
import type { LuksHeader } from "./crypto/load-luks-header.ts";
import type { Qcow2Info } from "./qcow2-info.ts";
import type { Snapshot } from "./snapshots/snapshot.ts";

/** What `img info` tells of a qcow2 image; the specific part has qemu-img's names, values and order. */
export function describeImage(info: Qcow2Info): ImageDescription {
  return {
    format: "qcow2",
    virtualSize: info.virtualSize,
    clusterSize: info.clusterSize,
    dirty: info.dirty,
    ...(info.encryption === "none" ? {} : { encrypted: true }),
    ...(info.backingFile === undefined ? {} : { backing: reference(info.backingFile, info.backingFormat) }),
    ...(info.dataFile === undefined ? {} : { dataFile: reference(info.dataFile, "raw") }),
    ...(info.snapshots.length === 0 ? {} : { snapshots: info.snapshots.map(describeSnapshot) }),
    specific: { type: "qcow2", data: specificData(info) },
  };
}

function reference(name: string, format: string | undefined): { name: string; format?: string } {
  return format === undefined ? { name } : { name, format };
}

function specificData(info: Qcow2Info): Record<string, JsonValue> {
  const encrypt = describeEncryption(info);
  return {
    compat: info.compat,
    "compression-type": info.compressionType,
    ...(info.version === 3 ? { "lazy-refcounts": info.lazyRefcounts } : {}),
    ...(info.bitmaps.length > 0 ? { bitmaps: info.bitmaps.map(describeBitmap) } : {}),
    "refcount-bits": info.refcountBits,
    ...(info.dataFile === undefined ? {} : { "data-file": info.dataFile }),
    ...(encrypt === undefined ? {} : { encrypt }),
    ...(info.externalDataFile ? { "data-file-raw": info.dataFileRaw } : {}),
    ...(info.version === 3 ? { corrupt: info.corrupt, "extended-l2": info.extendedL2 } : {}),
  };
}

function describeBitmap(bitmap: BitmapEntry): JsonValue {
  const flags = [...(bitmap.inUse ? ["in-use"] : []), ...(bitmap.auto ? ["auto"] : [])];
  return { flags, name: bitmap.name, granularity: bitmap.granularity };
}

function describeEncryption(info: Qcow2Info): JsonValue | undefined {
  if (info.encryption === "none") {
    return undefined;
  }
  return info.luks === undefined ? { format: info.encryption } : describeLuks(info.luks);
}

function describeLuks(luks: LuksHeader): JsonValue {
  const [mode = "", generator = "", generatorHash] = luks.cipherMode.split(/[-:]/);
  // XTS uses two keys of half the length
  const keyBits = (mode === "xts" ? luks.keyLength / 2 : luks.keyLength) * 8;
  return {
    "ivgen-alg": generator,
    "hash-alg": luks.hash,
    "cipher-alg": `${luks.cipherName}-${String(keyBits)}`,
    uuid: luks.uuid,
    ...(generatorHash === undefined ? {} : { "ivgen-hash-alg": generatorHash }),
    format: "luks",
    "cipher-mode": mode,
    slots: luks.slots.map((slot) =>
      slot.active
        ? { active: true, iters: slot.iterations, "key-offset": slot.keyOffset, stripes: slot.stripes }
        : { active: false, "key-offset": slot.keyOffset },
    ),
    "payload-offset": luks.payloadOffset,
    "master-key-iters": luks.masterKeyIterations,
  };
}

function describeSnapshot(snapshot: Snapshot): SnapshotDescription {
  const second = 1_000_000_000n;
  return {
    id: snapshot.id,
    name: snapshot.name,
    vmStateSize: snapshot.vmStateSize,
    dateSeconds: snapshot.dateSeconds,
    dateNanoseconds: snapshot.dateNanoseconds,
    vmClockSeconds: Number(snapshot.vmClock / second),
    vmClockNanoseconds: Number(snapshot.vmClock % second),
    ...(snapshot.icount === undefined ? {} : { icount: Number(snapshot.icount) }),
    ...(snapshot.diskSize === undefined ? {} : { diskSize: snapshot.diskSize }),
  };
}
