import { ByteQueue } from "../../src/protocol/byte-queue.ts";

/** What `parse` gives for `bytes` in every way to cut them in two, and byte by byte; and that it asks for more until all is there. */
export function parseInFragments<T>(bytes: Uint8Array, parse: (queue: ByteQueue) => T | undefined): T[] {
  const results: T[] = [];
  for (let cut = 0; cut <= bytes.length; cut++) {
    results.push(feed([bytes.subarray(0, cut), bytes.subarray(cut)], parse));
  }
  results.push(
    feed(
      Array.from(bytes, (byte) => Uint8Array.of(byte)),
      parse,
    ),
  );
  return results;
}

function feed<T>(fragments: readonly Uint8Array[], parse: (queue: ByteQueue) => T | undefined): T {
  const queue = new ByteQueue();
  let rest = fragments.reduce((sum, { length }) => sum + length, 0);
  let result: T | undefined;
  for (const fragment of fragments) {
    if (fragment.length === 0) {
      continue;
    }
    queue.push(fragment);
    rest -= fragment.length;
    result = parse(queue);
    if ((result !== undefined) !== (rest === 0)) {
      throw new Error(result === undefined ? "incomplete at the end" : `complete with ${rest} bytes missing`);
    }
  }
  if (result === undefined || queue.length > 0) {
    throw new Error(`${queue.length} bytes left over`);
  }
  return result;
}
