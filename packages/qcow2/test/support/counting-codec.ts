import type { ClusterCodec } from "../../src/index.ts";

/** A codec that counts what it is asked for. */
export class CountingCodec implements ClusterCodec {
  readonly name: string;
  /** Lengths of what was decompressed: what came in, and what had to come out. */
  readonly calls: { readonly source: number; readonly target: number }[] = [];
  loads = 0;
  readonly #inner: ClusterCodec;

  constructor(inner: ClusterCodec) {
    this.#inner = inner;
    this.name = inner.name;
  }

  load(): void {
    this.loads++;
  }

  decompressInto(source: Uint8Array, target: Uint8Array): void {
    this.calls.push({ source: source.length, target: target.length });
    this.#inner.decompressInto(source, target);
  }
}
