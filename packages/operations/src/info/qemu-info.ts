import type { JsonValue, SnapshotDescription } from "@img/format-core";
import { alignToSectors } from "../image-size.ts";
import { backingLocation } from "./backing-location.ts";
import type { ImageInfo } from "./image-info.ts";

/** An {@link ImageInfo} in the shape, and with the key order, of `qemu-img info --output=json` (QEMU 7.2). */
export interface QemuInfo {
  readonly compressed?: boolean;
  readonly "backing-filename-format"?: string;
  readonly snapshots?: readonly QemuSnapshot[];
  readonly "virtual-size": number;
  readonly filename: string;
  readonly "cluster-size"?: number;
  readonly format: string;
  readonly "actual-size"?: number;
  readonly "format-specific"?: { readonly type: string; readonly data: Readonly<Record<string, JsonValue>> };
  readonly "full-backing-filename"?: string;
  readonly encrypted?: true;
  readonly "backing-filename"?: string;
  readonly "dirty-flag": boolean;
}

/** A snapshot as `qemu-img info --output=json` lists it. */
export interface QemuSnapshot {
  readonly icount?: number;
  readonly "vm-clock-nsec": number;
  readonly name: string;
  readonly "date-sec": number;
  readonly "date-nsec": number;
  readonly "vm-clock-sec": number;
  readonly id: string;
  readonly "vm-state-size": number;
}

/** What `qemu-img info --output=json` prints for an image; sizes are whole sectors of 512 bytes there. */
export function qemuInfo(info: ImageInfo): QemuInfo {
  const { backing, snapshots = [] } = info;
  const location = backing === undefined ? undefined : backingLocation(info.filename, backing.name);
  return {
    ...(info.compressed === true ? { compressed: true } : {}),
    ...(backing?.format === undefined ? {} : { "backing-filename-format": backing.format }),
    ...(snapshots.length === 0 ? {} : { snapshots: snapshots.map(qemuSnapshot) }),
    "virtual-size": alignToSectors(info.format, info.virtualSize),
    filename: info.filename,
    ...(info.clusterSize === undefined ? {} : { "cluster-size": info.clusterSize }),
    format: info.format,
    ...(info.actualSize === undefined ? {} : { "actual-size": info.actualSize }),
    ...(info.specific === undefined ? {} : { "format-specific": info.specific }),
    ...(location === undefined ? {} : { "full-backing-filename": location }),
    ...(info.encrypted === true ? { encrypted: true } : {}),
    ...(backing === undefined ? {} : { "backing-filename": backing.name }),
    "dirty-flag": info.dirty ?? false,
  };
}

function qemuSnapshot(snapshot: SnapshotDescription): QemuSnapshot {
  return {
    ...(snapshot.icount === undefined ? {} : { icount: snapshot.icount }),
    "vm-clock-nsec": snapshot.vmClockNanoseconds,
    name: snapshot.name,
    "date-sec": snapshot.dateSeconds,
    "date-nsec": snapshot.dateNanoseconds,
    "vm-clock-sec": snapshot.vmClockSeconds,
    id: snapshot.id,
    "vm-state-size": snapshot.vmStateSize,
  };
}
