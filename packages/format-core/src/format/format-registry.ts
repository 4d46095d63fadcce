import { IoVector } from "@img/io-vector";
import type { FormatAccess } from "../access/format-access.ts";
import { ImgError } from "../errors/img-error.ts";
import type { Io } from "../io/io.ts";
import { runAsync } from "../io/run-async.ts";
import { readStorage } from "../storage-access/read-storage.ts";
import type { Storage } from "../storage/storage.ts";
import type { Format } from "./define-format.ts";
import type { OpenOptions } from "./open-options.ts";

/** A format whose options are those that every format has. Every {@link Format} is one. */
// methods are bivariant in their parameters, so formats with options of their own fit
export type AnyFormat = Format;

/** What a probe found. */
export interface ProbeResult {
  readonly format: AnyFormat;
  /** 1 … 100. */
  readonly score: number;
}

/** Options of {@link FormatRegistry.open}. */
export interface RegistryOpenOptions extends OpenOptions {
  /** Name of the format. Omitted: it is guessed from the contents, which the guest of a raw image may have written. */
  readonly format?: string;
  /** Allow `writable` although the format was only guessed. Default `false`. */
  readonly writeProbed?: boolean;
}

/** A set of formats: a plain value, nothing global. */
export class FormatRegistry {
  readonly formats: readonly AnyFormat[];
  readonly #byName = new Map<string, AnyFormat>();

  /**
   * @param formats - no two of the same name
   * @throws RangeError when a name is taken twice
   */
  constructor(formats: Iterable<AnyFormat>) {
    this.formats = [...formats];
    for (const format of this.formats) {
      for (const name of [format.name, ...format.aliases]) {
        if (this.#byName.has(name)) {
          throw new RangeError(`two formats are called ${JSON.stringify(name)}`);
        }
        this.#byName.set(name, format);
      }
    }
  }

  /** Bytes that {@link probeHeader} wants to see. */
  get probeLength(): number {
    return Math.max(0, ...this.formats.map((format) => format.probeLength));
  }

  /**
   * The format of that name or alias.
   * @throws ImgError `ERR_IMG_UNKNOWN_FORMAT` when there is none.
   */
  get(name: string): AnyFormat {
    const format = this.#byName.get(name);
    if (format === undefined) {
      const known = this.formats.map((each) => each.name).join(", ");
      throw new ImgError("ERR_IMG_UNKNOWN_FORMAT", `unknown format ${JSON.stringify(name)}: expected one of ${known}`);
    }
    return format;
  }

  /**
   * The format that scores highest for an image that begins with `header`.
   * @throws ImgError `ERR_IMG_UNKNOWN_FORMAT` when none scores above 0, or two score highest (a polyglot).
   */
  probeHeader(header: Uint8Array): ProbeResult {
    const scored = this.formats
      .map((format) => ({ format, score: format.probe(header.subarray(0, format.probeLength)) }))
      .filter(({ score }) => score > 0)
      .sort((a, b) => b.score - a.score);
    const [best, second] = scored;
    if (best === undefined) {
      throw new ImgError("ERR_IMG_UNKNOWN_FORMAT", "the contents are of no known format");
    }
    if (second?.score === best.score) {
      throw new ImgError(
        "ERR_IMG_UNKNOWN_FORMAT",
        `the contents look like ${best.format.name} and like ${second.format.name}: name the format`,
      );
    }
    return best;
  }

  /**
   * Guesses the format of what `storage` holds. The guest of a raw disk decides what its first bytes are, so a guess is good
   * for showing and for reading, not for trusting: see {@link RegistryOpenOptions.writeProbed}.
   */
  probe(storage: Storage): Promise<ProbeResult> {
    return runAsync(this.probeIo(storage));
  }

  /** {@link probe} for use inside other operations. */
  *probeIo(storage: Storage): Io<ProbeResult> {
    const header = new Uint8Array(Math.min(this.probeLength, storage.size));
    yield* readStorage(storage, IoVector.from(header), 0);
    return this.probeHeader(header);
  }

  /**
   * Opens the image in `storage` with the named or the guessed format.
   * @throws ImgError `ERR_IMG_DENIED` when it is to be written but its format was only guessed; and as `Format.open`.
   */
  open(storage: Storage, options: RegistryOpenOptions & { readonly signal?: AbortSignal } = {}): Promise<FormatAccess> {
    return runAsync(this.openIo(storage, options), options.signal);
  }

  /** {@link open} for use inside other operations. */
  *openIo(storage: Storage, options: RegistryOpenOptions = {}): Io<FormatAccess> {
    if (options.format !== undefined) {
      return yield* this.get(options.format).openIo(storage, options);
    }
    if (options.writable === true && options.writeProbed !== true) {
      throw new ImgError("ERR_IMG_DENIED", `${storage.label}: name the format of an image that is to be written`, {
        subject: storage.label,
      });
    }
    const { format } = yield* this.probeIo(storage);
    return yield* format.openIo(storage, { ...options, probedAmong: this });
  }
}
