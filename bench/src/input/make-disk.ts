import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { randomNumbers, type RandomNumbers } from "./random-numbers.ts";

const MiB = 1024 * 1024;

/** Different blocks of each kind; more would only make the preparation longer. */
const variants = 12;

/**
 * Makes a raw disk that is always the same: of each 8 MiB, 3 are text, 1 machine-like records, 1 random bytes, and 3 holes, in pieces of
 * 1 MiB. Text and records compress as real ones do, to about 40 %.
 */
export function makeDisk(path: string, size: number): void {
  const random = randomNumbers(20240229);
  const text = Array.from({ length: variants }, () => makeText(random));
  const records = Array.from({ length: variants }, () => makeRecords(random));
  const noise = Array.from({ length: variants }, () => makeNoise(random));
  const kinds = [text, undefined, records, text, undefined, noise, text, undefined];
  writeDisk(path, size, (fd) => {
    for (let index = 0; index < size; index++) {
      const block = kinds[index % kinds.length]?.[Math.floor(index / kinds.length) % variants];
      if (block !== undefined) {
        writeSync(fd, block, 0, MiB, index * MiB);
      }
    }
  });
}

/** A disk of the same size without any hole, all of it random. */
export function makeFullDisk(path: string, size: number): void {
  const noise = makeNoises();
  writeDisk(path, size, (fd) => {
    for (let index = 0; index < size; index++) {
      writeSync(fd, noise[index % variants] ?? new Uint8Array(MiB), 0, MiB, index * MiB);
    }
  });
}

/** A disk of the same size with 64 KiB of random bytes at the start of each 4 MiB, and nothing else. */
export function makeSparseDisk(path: string, size: number): void {
  const noise = makeNoises();
  writeDisk(path, size, (fd) => {
    for (let index = 0; index < size; index += 4) {
      writeSync(fd, noise[(index / 4) % variants] ?? new Uint8Array(MiB), 0, 64 * 1024, index * MiB);
    }
  });
}

function makeNoises(): Uint8Array[] {
  const random = randomNumbers(7);
  return Array.from({ length: variants }, () => makeNoise(random));
}

function writeDisk(path: string, size: number, write: (fd: number) => void): void {
  const fd = openSync(path, "w");
  try {
    ftruncateSync(fd, size * MiB);
    write(fd);
  } finally {
    closeSync(fd);
  }
}

function makeNoise(random: RandomNumbers): Uint8Array {
  return new Uint8Array(Uint32Array.from({ length: MiB / 4 }, random).buffer);
}

/** Words of a vocabulary, the first ones far more often than the last. */
function makeText(random: RandomNumbers): Uint8Array {
  const vocabulary = Array.from({ length: 4000 }, () => {
    const length = 2 + (random() % 9);
    return Array.from({ length }, () => String.fromCharCode(97 + (random() % 26))).join("");
  });
  const bytes = Buffer.alloc(MiB);
  for (let at = 0; at < MiB;) {
    const rank = Math.floor((random() / 2 ** 32) ** 3 * vocabulary.length);
    at += bytes.write(`${vocabulary[rank] ?? ""}${random() % 12 === 0 ? ".\n" : " "}`, at);
  }
  return bytes;
}

/** Rows of numbers that change little from one to the next. */
function makeRecords(random: RandomNumbers): Uint8Array {
  const words = new Uint32Array(MiB / 4);
  let counter = random();
  for (let index = 0; index < words.length; index += 4) {
    counter += random() % 64;
    words[index] = counter;
    words[index + 1] = random() % 4096;
    words[index + 2] = (random() % 16) << 24;
    words[index + 3] = 0xffff0000;
  }
  return new Uint8Array(words.buffer);
}
