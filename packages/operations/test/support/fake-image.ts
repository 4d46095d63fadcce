import {
  FormatAccess,
  hostOffset,
  type FormatDriver,
  type GuestOffset,
  type ImageDescription,
  type Io,
  type ShallowMapping,
  type Storage,
} from "@img/format-core";

/** What a fake layer says about a run. `data` at a host offset; `zero` with or without a reserved place; `none`: look below. */
export type FakeRun =
  | { readonly kind: "data"; readonly length: number; readonly offset: number }
  | { readonly kind: "compressed"; readonly length: number }
  | { readonly kind: "zero"; readonly length: number; readonly reserved?: number }
  | { readonly kind: "none"; readonly length: number; readonly reserved?: number };

/** Options of {@link fakeImage}. */
export interface FakeOptions {
  readonly storage: Storage;
  readonly backing?: FormatAccess;
  readonly sparse?: boolean;
  readonly description?: Partial<ImageDescription>;
  /** Counts how often mappings are asked for. */
  readonly asked?: { count: number };
}

/** An image of a format that only exists in tests, whose mappings are given run by run. */
export function fakeImage(runs: readonly FakeRun[], options: FakeOptions): FormatAccess {
  return new FormatAccess(new FakeDriver(runs, options));
}

class FakeDriver implements FormatDriver {
  readonly format = "fake";
  readonly size: number;
  readonly writable = false;
  readonly storages: readonly Storage[];
  readonly backing: FormatAccess | null;
  readonly #runs: readonly FakeRun[];
  readonly #options: FakeOptions;

  constructor(runs: readonly FakeRun[], options: FakeOptions) {
    this.#runs = runs;
    this.#options = options;
    this.size = runs.reduce((sum, run) => sum + run.length, 0);
    this.storages = [options.storage];
    this.backing = options.backing ?? null;
  }

  *getMapping(offset: GuestOffset): Io<ShallowMapping> {
    if (this.#options.asked !== undefined) {
      this.#options.asked.count++;
    }
    let start = 0;
    for (const run of this.#runs) {
      if (offset < start + run.length) {
        return this.#mapping(run, offset - start, offset);
      }
      start += run.length;
    }
    return { kind: "eof", length: 0 };
  }

  #mapping(run: FakeRun, within: number, offset: GuestOffset): ShallowMapping {
    const length = run.length - within;
    const { storage, backing } = this.#options;
    switch (run.kind) {
      case "data":
        return { kind: "raw", storage, offset: hostOffset(run.offset + within), length, writable: false };
      case "compressed":
        return { kind: "special", offset, length, compressed: true };
      case "zero":
        return { kind: "zero", length, explicit: true, ...this.#reserved(run.reserved, within) };
      case "none": {
        const reserved = this.#reserved(run.reserved, within);
        return backing === undefined
          ? { kind: "zero", length, explicit: false, ...reserved }
          : { kind: "indirect", layer: backing, offset, length, writable: false, ...reserved };
      }
    }
  }

  #reserved(
    offset: number | undefined,
    within: number,
  ): { reserved?: { storage: Storage; offset: ReturnType<typeof hostOffset> } } {
    return offset === undefined
      ? {}
      : { reserved: { storage: this.#options.storage, offset: hostOffset(offset + within) } };
  }

  *hasSparseData(): Io<boolean> {
    return this.#options.sparse ?? false;
  }

  describe(): ImageDescription {
    return { format: "fake", virtualSize: this.size, ...this.#options.description };
  }

  *flush(): Io<void> {}

  *sync(): Io<void> {}

  *close(): Io<void> {}

  toString(): string {
    return "fake";
  }
}
