import * as zlib from "node:zlib";

/** What stands behind a stream of `node:zlib`. It isn't documented, but has been so since Node 10. */
interface Handle {
  reset(): void;
  writeSync(
    flush: number,
    source: Uint8Array,
    sourceOffset: number,
    sourceLength: number,
    target: Uint8Array,
    targetOffset: number,
    targetLength: number,
  ): void;
  onerror: (message: string) => void;
}

interface Stream {
  readonly _handle: Handle;
  /** Room that is left in the target, and bytes of the source that weren't used. */
  readonly _writeState: Uint32Array;
}

/** How a stream went. */
export interface Inflated {
  /** Bytes at the start of the target. */
  readonly length: number;
  /** What is wrong with the stream; `undefined`: it ended, or the target is full. */
  readonly problem: string | undefined;
}

/**
 * Inflates one raw deflate stream after the other straight into given memory, and stops when that is full. The public functions of `node:zlib`
 * make a decoder with a window, a buffer and its copy for each, which takes a sixth longer and leaves it all to the garbage collector.
 */
export class NodeInflater {
  readonly #handle: Handle;
  readonly #state: Uint32Array;
  #problem: string | undefined;

  private constructor({ _handle, _writeState }: Stream) {
    this.#handle = _handle;
    this.#state = _writeState;
    _handle.onerror = (message) => {
      this.#problem = message;
    };
  }

  /** `undefined` where Node isn't as it is expected to be, which is tried. */
  static make(): NodeInflater | undefined {
    const stream: unknown = zlib.createInflateRaw({ windowBits: 15 });
    try {
      const inflater = new NodeInflater(stream as Stream);
      return inflater.#works() ? inflater : undefined;
    } catch {
      return undefined;
    }
  }

  inflate(source: Uint8Array, target: Uint8Array): Inflated {
    this.#problem = undefined;
    this.#handle.reset();
    this.#handle.writeSync(zlib.constants.Z_FINISH, source, 0, source.length, target, 0, target.length);
    const left = this.#state[0] ?? target.length;
    return { length: target.length - left, problem: left === 0 ? undefined : this.#problem };
  }

  #works(): boolean {
    const bytes = new Uint8Array(5000).map((_, index) => (index * index) >> 7);
    const stream = zlib.deflateRawSync(bytes);
    const whole = new Uint8Array(bytes.length);
    const part = new Uint8Array(1000);
    const broken = this.inflate(stream.subarray(0, stream.length - 20), whole);
    const short = this.inflate(stream, part);
    const full = this.inflate(stream, whole);
    return (
      broken.length < bytes.length &&
      broken.problem !== undefined &&
      short.length === part.length &&
      full.length === bytes.length &&
      Buffer.compare(whole, bytes) === 0 &&
      Buffer.compare(part, bytes.subarray(0, part.length)) === 0
    );
  }
}
