import type { DeflateLibrary, ZstdLibrary } from "./compression-libraries.ts";
import { decodeBase64 } from "./decode-base64.ts";
import { zstdDefaultLevel } from "./zstd-default-level.ts";

/** What the samples decompress to: `0 bottles of beer, 1 bottles of beer, …`. */
function expectedBytes(): Uint8Array {
  const text = Array.from({ length: 60 }, (_, index) => `${String(index)} bottles of beer, `).join("");
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** As zstd 1.5 compresses them. */
const zstdSample =
  "KLUv/QBY9QQA8gQOErA1HYT4ANYMzm5CUkrpLMboVP///79t27bdtm3bkiRJktu2bSMriEG4y1EAqCpkGArUcY4pRAI7ILCj0gGJJJcw" +
  "iSSXsIkklzCJJJewRCSXsEQml7BEJJewRJKTsESSm7BEkpOwRJJLmESSS9hEkksYE1kmOSUJSy4RZJM7kjDjEik2OSIJGy4RLw95zBPv" +
  "eMwT7zzGPcE8ywQ=";

/** As zlib 1.2 deflates them. */
const deflateSample =
  "bdO5DQJRDEDBVrYAgvXF0c5KS4SEBPQvCviTvsgj2/t2vH+/1/nd3s/tOM/PZYs15ZpqTb2mWdN1Tbc13df0wKg7GuYPAAKCACFgCCAC" +
  "igAj4Eg4UnuAI+FIOBKOhCPhSDgSjoKj4CgdFBwFR8FRcBQcBUfB0XA0HA1H6zPgaDgajoaj4Wg4Bo6BY+AYOEYvDsfAMXAMHAPHHw==";

/** Whether a library decodes what is known, keeps to the memory that it is given, refuses what is cut off, and decodes what it compressed. */
export function zstdWorks(library: ZstdLibrary): boolean {
  try {
    const expected = expectedBytes();
    const frame = decodeBase64(zstdSample);
    const decode = (source: Uint8Array, length: number): Uint8Array | undefined =>
      within(length, (target) => library.decompress(source, target) === length);
    const again = library.compress(expected, zstdDefaultLevel);
    return (
      isSame(decode(frame, expected.length), expected) &&
      decode(frame, expected.length - 1) === undefined &&
      decode(frame, expected.length + 1) === undefined &&
      decode(frame.subarray(0, -1), expected.length) === undefined &&
      again !== undefined &&
      again.length < expected.length &&
      isSame(decode(again, expected.length), expected)
    );
  } catch {
    return false;
  }
}

/** As {@link zstdWorks}, and whether what follows a stream is ignored. */
export function deflateWorks(library: DeflateLibrary): boolean {
  try {
    const expected = expectedBytes();
    const stream = decodeBase64(deflateSample);
    const followed = new Uint8Array(stream.length + 500).fill(0xa5);
    followed.set(stream);
    const decode = (source: Uint8Array, length: number): Uint8Array | undefined =>
      within(length, (target) => library.decompress(source, target));
    return (
      isSame(decode(stream, expected.length), expected) &&
      isSame(decode(followed, expected.length), expected) &&
      decode(stream, expected.length - 1) === undefined &&
      decode(stream, expected.length + 1) === undefined &&
      decode(stream.subarray(0, -1), expected.length) === undefined
    );
  } catch {
    return false;
  }
}

/**
 * Has `length` bytes filled in the middle of others.
 * @returns `undefined` when `fill` says that it failed
 * @throws Error when the others were changed
 */
function within(length: number, fill: (target: Uint8Array) => boolean): Uint8Array | undefined {
  const margin = 256;
  const memory = new Uint8Array(margin + length + margin).fill(0x5a);
  const target = memory.subarray(margin, margin + length);
  const filled = fill(target);
  const around = [memory.subarray(0, margin), memory.subarray(margin + length)];
  if (around.some((part) => part.some((byte) => byte !== 0x5a))) {
    throw new Error("a library writes where it was not told to");
  }
  return filled ? target : undefined;
}

function isSame(bytes: Uint8Array | undefined, expected: Uint8Array): boolean {
  return bytes?.length === expected.length && bytes.every((byte, index) => byte === expected[index]);
}
