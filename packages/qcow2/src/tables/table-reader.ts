import { IoVector } from "@img/io-vector";
import { readStorage, TableCache, type Io, type Storage } from "@img/format-core";
import type { SliceSource } from "./slice-source.ts";
import { Table } from "./table.ts";

function* refuseStore(): Io<void> {
  throw new Error("a table that is only read was changed");
}

/** Reads parts of tables, and keeps the latest of them up to a number of bytes. */
export class TableReader implements SliceSource {
  readonly #cache: TableCache<number, Table>;
  readonly sliceLength: number;

  /**
   * @param storage - where the tables are
   * @param sliceLength - bytes of one part; host offsets that are asked for are multiples of it
   * @param maxBytes - what may be kept
   */
  constructor(storage: Storage, sliceLength: number, maxBytes: number) {
    this.sliceLength = sliceLength;
    const unused: Table[] = [];
    this.#cache = new TableCache<number, Table>({
      what: "table slice",
      maxBytes,
      sizeOf: (table) => table.bytes.length,
      *load(offset): Io<Table> {
        const table = unused.pop() ?? new Table(new Uint8Array(sliceLength));
        yield* readStorage(storage, IoVector.from(table.bytes), offset);
        return table;
      },
      store: refuseStore,
      evicted: (table) => {
        unused.push(table);
      },
    });
  }

  /** Whether nothing is kept. */
  get isEmpty(): boolean {
    return this.#cache.isEmpty;
  }

  /** The slice at host offset `offset`, if it is in memory. */
  peek(offset: number): Table | undefined {
    return this.#cache.peek(offset);
  }

  /** The slice at host offset `offset`; bytes past the storage's end are zero. */
  get(offset: number): Io<Table> {
    return this.#cache.get(offset);
  }

  /** Forgets everything. */
  clear(): void {
    this.#cache.invalidate({ discardDirty: true });
  }
}
