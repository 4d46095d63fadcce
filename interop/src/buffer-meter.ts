/** Buffers that are smaller than this come and go like other objects, and aren't counted, bytes. */
const smallest = 4096;

/** What a {@link BufferMeter} has counted. */
export interface BufferCount {
  /** Bytes of all buffers that were made, those included that were let go in between. */
  readonly total: number;
  /** Bytes of the largest of them. */
  readonly largest: number;
  /** How many there were. */
  readonly buffers: number;
}

/**
 * Counts the memory for bytes that programs ask for: everything of at least 4 KiB that `Uint8Array`, `ArrayBuffer`, `SharedArrayBuffer`, `Buffer` and
 * the copying methods of arrays make while it is in use. All that is asked for counts, whatever becomes of it: that doesn't depend on when garbage
 * is collected, so the same work always counts the same.
 *
 * Stands in for the globals until it is disposed of. Memory that Node asks for by itself, or another thread does, isn't seen.
 */
export class BufferMeter implements Disposable {
  readonly #undo: (() => void)[] = [];
  #total = 0;
  #largest = 0;
  #buffers = 0;

  constructor() {
    for (const name of ["ArrayBuffer", "SharedArrayBuffer", "Uint8Array", "Uint16Array", "Uint32Array"] as const) {
      this.#replace(globalThis, name, this.#counting(globalThis[name]));
    }
    for (const name of ["alloc", "allocUnsafe", "allocUnsafeSlow", "concat", "from"] as const) {
      this.#replaceMethod(Buffer, name);
    }
    this.#replaceMethod(Object.getPrototypeOf(Uint8Array.prototype) as object, "slice");
    this.#replaceMethod(ArrayBuffer.prototype, "slice");
  }

  /** What was counted until now. */
  get count(): BufferCount {
    return { total: this.#total, largest: this.#largest, buffers: this.#buffers };
  }

  [Symbol.dispose](): void {
    for (const undo of this.#undo.reverse()) {
      undo();
    }
  }

  #add(value: unknown): void {
    const { byteLength } = value as ArrayBufferView | ArrayBufferLike;
    if (byteLength >= smallest) {
      this.#total += byteLength;
      this.#largest = Math.max(this.#largest, byteLength);
      this.#buffers++;
    }
  }

  #counting<T extends abstract new (...args: never[]) => object>(original: T): T {
    return new Proxy(original, {
      construct: (target, args: unknown[], newTarget): object => {
        const made = Reflect.construct(target, args, newTarget) as object;
        // a view of a buffer that is there already takes nothing
        if (!isBuffer(args[0])) {
          this.#add(made);
        }
        return made;
      },
    });
  }

  #countingResult(original: Method): Method {
    return new Proxy(original, {
      apply: (target, self, args: unknown[]): unknown => {
        const made: unknown = Reflect.apply(target, self, args);
        // `Buffer.from(buffer)` is a view; what `slice` of a `Buffer` gives, too
        if (!isBuffer(args[0]) && !Buffer.isBuffer(self)) {
          this.#add(made);
        }
        return made;
      },
    });
  }

  #replaceMethod(holder: object, name: string): void {
    this.#replace(holder, name, this.#countingResult(Reflect.get(holder, name) as Method));
  }

  #replace(holder: object, name: string, value: unknown): void {
    const before = Object.getOwnPropertyDescriptor(holder, name);
    if (before === undefined) {
      throw new Error(`there is no ${name} to count`);
    }
    Object.defineProperty(holder, name, { ...before, value });
    this.#undo.push(() => {
      Object.defineProperty(holder, name, before);
    });
  }
}

type Method = (this: never, ...args: never[]) => unknown;

function isBuffer(value: unknown): boolean {
  const tag = Object.prototype.toString.call(value);
  return tag === "[object ArrayBuffer]" || tag === "[object SharedArrayBuffer]";
}
