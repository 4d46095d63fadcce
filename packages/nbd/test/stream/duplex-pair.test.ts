import { expect, test } from "vitest";
import { duplexPair } from "../../src/stream/duplex-pair.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (chunk: Uint8Array | undefined): string => new TextDecoder().decode(chunk);

test("what one side writes the other reads, as it was when it was written", async () => {
  const [left, right] = duplexPair();
  const buffer = bytes("hello");
  await left.write([buffer, bytes("")]);
  buffer.fill(0);
  expect(text(await right.read())).toBe("hello");
  const later = right.read();
  await left.write([bytes("again")]);
  expect(text(await later)).toBe("again");
});

test("the end is read after everything that was written", async () => {
  const [left, right] = duplexPair();
  await left.write([bytes("a")]);
  await left.end();
  expect(() => left.write([bytes("b")])).toThrow(/ended/);
  expect(text(await right.read())).toBe("a");
  expect(await right.read()).toBeUndefined();
  expect(await right.read()).toBeUndefined();
  await right.write([bytes("c")]);
  expect(text(await left.read())).toBe("c");
});

test("a writer waits while its peer doesn't read", async () => {
  const [left, right] = duplexPair();
  let settled = false;
  const writing = Promise.resolve(left.write([new Uint8Array(1024 * 1024), new Uint8Array(1)])).then(() => {
    settled = true;
  });
  await new Promise(setImmediate);
  expect(settled).toBe(false);
  await right.read();
  await writing;
});

test("dropping a connection fails whoever waits, on both sides", async () => {
  const [left, right] = duplexPair();
  const reading = right.read();
  const writing = right.write([new Uint8Array(2 * 1024 * 1024)]);
  left.destroy();
  await expect(reading).rejects.toMatchObject({ code: "ECONNRESET" });
  await writing;
  const [own] = duplexPair();
  const ownReading = own.read();
  own.destroy();
  await expect(ownReading).rejects.toMatchObject({ code: "ERR_IMG_CLOSED" });
  expect(() => right.write([bytes("x")])).toThrow(expect.objectContaining({ code: "ECONNRESET" }));
  expect(() => left.read()).toThrow(expect.objectContaining({ code: "ERR_IMG_CLOSED" }));
});

test("what was sent before a proper end can be read after the peer has gone", async () => {
  const [left, right] = duplexPair();
  await left.write([bytes("last words")]);
  await left.end();
  left.destroy();
  expect(text(await right.read())).toBe("last words");
  expect(await right.read()).toBeUndefined();
  expect(() => right.write([bytes("x")])).toThrow(expect.objectContaining({ code: "EPIPE" }));
});
