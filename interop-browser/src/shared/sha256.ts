/** SHA-256 (FIPS 180-4) in parts of any length: Web Crypto wants all bytes at once, which a disk has too many of. */
export class Sha256 {
  readonly #state = Uint32Array.from(initial);
  readonly #schedule = new Uint32Array(64);
  readonly #block = new Uint8Array(blockLength);
  readonly #view = new DataView(this.#block.buffer);
  #used = 0;
  #length = 0;

  /** Goes on with `bytes`. */
  update(bytes: Uint8Array): this {
    this.#length += bytes.length;
    let at = 0;
    while (at < bytes.length) {
      const part = bytes.subarray(at, at + blockLength - this.#used);
      this.#block.set(part, this.#used);
      this.#used += part.length;
      at += part.length;
      if (this.#used === blockLength) this.#compress();
    }
    return this;
  }

  /** The digest in hexadecimal. Nothing can be added afterwards. */
  digest(): string {
    const length = this.#length;
    const padding = new Uint8Array(blockLength - ((this.#used + 8) % blockLength));
    padding[0] = 0x80;
    const lengthField = new Uint8Array(8);
    new DataView(lengthField.buffer).setBigUint64(0, BigInt(length) * 8n);
    this.update(padding).update(lengthField);
    return [...this.#state].map((word) => word.toString(16).padStart(8, "0")).join("");
  }

  #compress(): void {
    const w = this.#schedule;
    for (let i = 0; i < 16; i++) w[i] = this.#view.getUint32(i * 4);
    for (let i = 16; i < 64; i++) w[i] = at(w, i - 16) + small0(at(w, i - 15)) + at(w, i - 7) + small1(at(w, i - 2));
    let [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = this.#state;
    for (let i = 0; i < 64; i++) {
      const first = (h + large1(e) + ((e & f) ^ (~e & g)) + at(constants, i) + at(w, i)) | 0;
      const second = (large0(a) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      // one by one: an array for each of 64 rounds would take longer than the rounds
      h = g;
      g = f;
      f = e;
      e = (d + first) | 0;
      d = c;
      c = b;
      b = a;
      a = (first + second) | 0;
    }
    [a, b, c, d, e, f, g, h].forEach((word, i) => (this.#state[i] = at(this.#state, i) + word));
    this.#used = 0;
  }
}

const blockLength = 64;
const primes = firstPrimes(64);
/** The first 32 bits of the fractional parts of the square roots of the first eight primes. */
const initial: readonly number[] = primes.slice(0, 8).map((prime) => fraction(Math.sqrt(prime)));
/** The same of the cube roots of the first 64. */
const constants = Uint32Array.from(primes, (prime) => fraction(Math.cbrt(prime)));

function firstPrimes(count: number): number[] {
  const found: number[] = [];
  for (let candidate = 2; found.length < count; candidate++) {
    if (found.every((prime) => candidate % prime !== 0)) found.push(candidate);
  }
  return found;
}

function fraction(root: number): number {
  return Math.floor((root - Math.floor(root)) * 2 ** 32);
}

function at(words: Uint32Array, index: number): number {
  return words[index] ?? 0;
}

function rotate(word: number, by: number): number {
  return (word >>> by) | (word << (32 - by));
}

function small0(word: number): number {
  return rotate(word, 7) ^ rotate(word, 18) ^ (word >>> 3);
}

function small1(word: number): number {
  return rotate(word, 17) ^ rotate(word, 19) ^ (word >>> 10);
}

function large0(word: number): number {
  return rotate(word, 2) ^ rotate(word, 13) ^ rotate(word, 22);
}

function large1(word: number): number {
  return rotate(word, 6) ^ rotate(word, 11) ^ rotate(word, 25);
}
