import { LRUCache } from "lru-cache";
import { ImgError } from "../errors/img-error.ts";
import type { Io } from "../io/io.ts";
import { WaitQueue } from "../io/wait-queue.ts";
import { checkOffset } from "../numbers/offsets.ts";

/** What a {@link TableCache} works with. */
export interface TableCacheOptions<K extends number | string, T extends object> {
  /** What one table is called in messages, for example `"L2 slice"`. */
  readonly what: string;
  /** Budget in bytes, an integer ≥ 0. */
  readonly maxBytes: number;
  /** Bytes that a table takes, an integer ≥ 1; asked once, when the table comes in. */
  sizeOf(table: T): number;
  /** Reads a table. Called for one key once at a time. */
  load(key: K): Io<T>;
  /**
   * Writes a table back. Called for one key once at a time. The table may be changed while this waits, so its bytes must be copied before
   * an asynchronous write begins; what is changed afterwards is written by a later call.
   */
  store(key: K, table: T): Io<void>;
  /**
   * Hears of a table that went to make room, which nobody may use any more. Its memory can serve the next `load`: tables that were kept for
   * a while are what a garbage collector finds last.
   */
  evicted?(table: T): void;
}

interface Entry<K, T> {
  readonly key: K;
  readonly table: T;
  readonly bytes: number;
  pins: number;
  /** Changed since the last store began. */
  dirty: boolean;
  /** Where to wait for the store in flight; set while there is one. */
  storing: WaitQueue | undefined;
}

interface Loading {
  /** Where those wait who want the same; made by the first of them. */
  done: WaitQueue | undefined;
  /** What is being read isn't wanted any more. */
  stale: boolean;
}

/**
 * Tables of an image (L2 slices, refcount blocks, …) in memory, within a budget of bytes.
 *
 * A clean table that nobody pinned may go at any time that somebody waits. So whoever uses a table across a `yield*` pins it; without one,
 * `get`, change, `markDirty` need no pin. Changed tables never get lost: they go when they are written back, and not while that fails.
 *
 * When the budget is exceeded, the least recently used clean tables go first; then changed ones are written back, the oldest half in one
 * batch. What is pinned stays, so the budget may be exceeded by pinned tables and by those that operations in flight just
 * asked for; it is kept again as soon as they are unpinned.
 */
export class TableCache<K extends number | string, T extends object> {
  readonly #options: TableCacheOptions<K, T>;
  /** Clean, not pinned: may go. */
  readonly #free: LRUCache<K, Entry<K, T>>;
  /** Pinned, changed, or being stored: stay. In the order in which they came to be. */
  readonly #held = new Map<K, Entry<K, T>>();
  readonly #loading = new Map<K, Loading>();
  #bytes = 0;

  constructor(options: TableCacheOptions<K, T>) {
    checkOffset(options.maxBytes, "maxBytes");
    this.#options = options;
    // eviction is ours, because the budget covers the held tables too
    this.#free = new LRUCache({ maxSize: Number.MAX_SAFE_INTEGER, sizeCalculation: (entry) => entry.bytes });
  }

  /** Bytes that all tables take. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How many tables there are. */
  get size(): number {
    return this.#free.size + this.#held.size;
  }

  /** Whether there are no tables. */
  get isEmpty(): boolean {
    return this.size === 0;
  }

  /** Whether any table is dirty, as {@link isDirty} tells. */
  get hasDirty(): boolean {
    for (const entry of this.#held.values()) {
      if (isUnsaved(entry)) {
        return true;
      }
    }
    return false;
  }

  /** The keys of all tables, in no particular order. */
  keys(): K[] {
    return [...this.#held.keys(), ...this.#free.keys()];
  }

  /** The table, if it is in memory. A plain call; counts as a use. */
  peek(key: K): T | undefined {
    return (this.#held.get(key) ?? this.#free.get(key))?.table;
  }

  /**
   * The table, read if need be. However many ask for it at once, it is read once; if that fails, the one who read it hears of it and
   * the others try themselves.
   * @throws whatever `load` throws, or `store` when changed tables had to be written back to make room; they aren't lost
   */
  *get(key: K): Io<T> {
    for (;;) {
      const table = this.peek(key);
      if (table !== undefined) {
        return table;
      }
      const loading = this.#loading.get(key);
      if (loading === undefined) {
        yield* this.#load(key);
      } else {
        loading.done ??= new WaitQueue(this.#name(key));
        yield* loading.done.wait();
      }
    }
  }

  /**
   * Takes a new table in, clean, in place of what was there under `key`.
   * @throws ImgError `ERR_IMG_BUSY` when the one that was there is pinned, dirty or being written back
   */
  insert(key: K, table: T): void {
    this.delete(key, { onlyClean: true });
    const entry: Entry<K, T> = {
      key,
      table,
      bytes: this.#options.sizeOf(table),
      pins: 0,
      dirty: false,
      storing: undefined,
    };
    this.#bytes += entry.bytes;
    this.#free.set(key, entry);
    this.#evict(key);
  }

  /** Keeps a table in memory until it is unpinned as many times. */
  pin(key: K): void {
    this.#hold(key).pins++;
  }

  /** Undoes one {@link pin}. */
  unpin(key: K): void {
    const entry = this.#held.get(key);
    if (entry === undefined || entry.pins === 0) {
      throw new Error(`unpinned ${this.#name(key)}, which nobody pinned`);
    }
    entry.pins--;
    this.#settle(entry);
    this.#evict();
  }

  /** Notes that a table was changed. */
  markDirty(key: K): void {
    this.#hold(key).dirty = true;
  }

  /** Whether a table has changes that aren't known to be written: it was changed, or is being written back just now. */
  isDirty(key: K): boolean {
    const entry = this.#held.get(key);
    return entry !== undefined && isUnsaved(entry);
  }

  /**
   * Writes back every table that is dirty now, in ascending order of their keys, and waits for those that are being written. Stops at
   * the first failure; whatever isn't written stays dirty.
   */
  *flush(): Io<void> {
    for (const { key } of [...this.#held.values()].filter(isUnsaved).sort(byKey)) {
      yield* this.flushOne(key);
    }
  }

  /** {@link flush} for one table. Nothing happens if it isn't dirty. */
  *flushOne(key: K): Io<void> {
    for (;;) {
      const entry = this.#held.get(key);
      if (entry?.storing !== undefined) {
        yield* entry.storing.wait();
        continue;
      }
      if (entry?.dirty === true) {
        yield* this.#store(entry);
      }
      return;
    }
  }

  /** Writes changed tables back and drops clean ones until the budget is kept, if it isn't. For after {@link insert}. */
  *trim(): Io<void> {
    this.#evict();
    if (this.#bytes <= this.#options.maxBytes) {
      return;
    }
    const changed = [...this.#held.values()].filter(isEvictable);
    const middle = Math.ceil(changed.length / 2);
    yield* this.#storeAll(changed.slice(0, middle));
    if (this.#bytes > this.#options.maxBytes) {
      yield* this.#storeAll(changed.slice(middle));
    }
  }

  /** Writes everything back and then drops all tables that aren't pinned. */
  *shrink(): Io<void> {
    yield* this.flush();
    this.dropClean();
  }

  /** Drops all tables that are neither dirty nor pinned. */
  dropClean(): void {
    for (const entry of this.#free.values()) {
      this.#bytes -= entry.bytes;
    }
    this.#free.clear();
  }

  /**
   * Drops a table with its unwritten changes, and what is being read under its key.
   * @throws ImgError `ERR_IMG_BUSY` when it is pinned, or being written back ({@link flushOne} waits for that);
   * with `onlyClean` also when it is dirty
   */
  delete(key: K, options: { readonly onlyClean?: boolean } = {}): void {
    const entry = this.#held.get(key);
    if (entry !== undefined) {
      this.#checkFree(entry, options.onlyClean !== true);
    }
    const dropped = entry ?? this.#free.peek(key);
    if (dropped !== undefined) {
      this.#held.delete(key);
      this.#free.delete(key);
      this.#bytes -= dropped.bytes;
    }
    this.#forgetLoading(key);
  }

  /**
   * Drops everything, because somebody else changed the image.
   * @throws ImgError `ERR_IMG_BUSY` when a table is pinned or being written back, or dirty without `discardDirty`; nothing is dropped then
   */
  invalidate(options: { readonly discardDirty?: boolean } = {}): void {
    for (const entry of this.#held.values()) {
      this.#checkFree(entry, options.discardDirty === true);
    }
    this.#held.clear();
    this.#free.clear();
    this.#bytes = 0;
    for (const key of [...this.#loading.keys()]) {
      this.#forgetLoading(key);
    }
  }

  *#load(key: K): Io<void> {
    const loading: Loading = { done: undefined, stale: false };
    this.#loading.set(key, loading);
    try {
      const table = yield* this.#options.load(key);
      if (loading.stale) {
        return;
      }
      this.insert(key, table);
    } finally {
      if (!loading.stale) {
        this.#loading.delete(key);
      }
      loading.done?.wakeAll();
    }
    if (this.#bytes > this.#options.maxBytes) {
      yield* this.#trimAround(key);
    }
  }

  /** Makes room, but not with the table that was just read. */
  *#trimAround(key: K): Io<void> {
    this.pin(key);
    try {
      yield* this.trim();
    } finally {
      const entry = this.#hold(key);
      entry.pins--;
      this.#settle(entry);
    }
  }

  *#storeAll(entries: Entry<K, T>[]): Io<void> {
    for (const entry of entries.sort(byKey)) {
      // others may have been faster while we waited
      if (this.#held.get(entry.key) === entry && isEvictable(entry)) {
        yield* this.#store(entry);
      }
    }
  }

  *#store(entry: Entry<K, T>): Io<void> {
    const done = new WaitQueue(this.#name(entry.key));
    let stored = false;
    entry.storing = done;
    // before the table is looked at: a change from now on is a new one
    entry.dirty = false;
    try {
      yield* this.#options.store(entry.key, entry.table);
      stored = true;
    } finally {
      entry.storing = undefined;
      entry.dirty ||= !stored;
      this.#settle(entry);
      done.wakeAll();
      this.#evict();
    }
  }

  /** The entry, kept from now on. */
  #hold(key: K): Entry<K, T> {
    let entry = this.#held.get(key);
    if (entry === undefined) {
      entry = this.#free.peek(key);
      if (entry === undefined) {
        throw new Error(`${this.#name(key)} is not in memory: pin tables while they are used`);
      }
      this.#free.delete(key);
      this.#held.set(key, entry);
    }
    return entry;
  }

  /** Lets an entry go that nothing keeps any more. */
  #settle(entry: Entry<K, T>): void {
    if (entry.pins === 0 && !isUnsaved(entry) && this.#held.delete(entry.key)) {
      this.#free.set(entry.key, entry);
    }
  }

  /** Drops what was used least recently while there is too much. `keep` stays: it was used just now. */
  #evict(keep?: K): void {
    while (this.#bytes > this.#options.maxBytes && this.#free.size > 0) {
      if (keep !== undefined && this.#free.size === 1 && this.#free.has(keep)) {
        return;
      }
      const entry = this.#free.pop();
      if (entry !== undefined) {
        this.#bytes -= entry.bytes;
        this.#options.evicted?.(entry.table);
      }
    }
  }

  #forgetLoading(key: K): void {
    const loading = this.#loading.get(key);
    if (loading !== undefined) {
      loading.stale = true;
      this.#loading.delete(key);
    }
  }

  #checkFree(entry: Entry<K, T>, dirtyMayGo: boolean): void {
    const why =
      entry.pins > 0
        ? "in use"
        : entry.storing !== undefined
          ? "being written back"
          : entry.dirty && !dirtyMayGo
            ? "changed and not written back"
            : undefined;
    if (why !== undefined) {
      throw new ImgError("ERR_IMG_BUSY", `${this.#name(entry.key)} is ${why}`);
    }
  }

  #name(key: K): string {
    return `${this.#options.what} ${String(key)}`;
  }
}

function isUnsaved(entry: Entry<unknown, unknown>): boolean {
  return entry.dirty || entry.storing !== undefined;
}

/** Whether writing the entry back makes room. */
function isEvictable(entry: Entry<unknown, unknown>): boolean {
  return entry.dirty && entry.storing === undefined && entry.pins === 0;
}

function byKey<K extends number | string>(a: { readonly key: K }, b: { readonly key: K }): number {
  return a.key < b.key ? -1 : 1;
}
