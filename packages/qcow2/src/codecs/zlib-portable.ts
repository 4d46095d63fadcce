import { deflateRaw } from "pako";
import type { ClusterCodec, CompressOptions } from "./codec.ts";
import { inflateInto } from "./inflate-into.ts";

const defaultLevel = 6;

/** The zlib codec in plain JavaScript. */
export class PortableZlibCodec implements ClusterCodec {
  readonly name = "zlib";

  decompressInto(source: Uint8Array, target: Uint8Array): void {
    inflateInto(source, target);
  }

  compress(source: Uint8Array, options: CompressOptions = {}): Uint8Array | undefined {
    // QEMU refuses to read streams that look back further than 4 KiB
    const result = deflateRaw(source, { level: options.level ?? defaultLevel, windowBits: 12, memLevel: 9 });
    return result.length < source.length ? result : undefined;
  }
}
