import { ImgError } from "@img/format-core";
import { setTimeout as sleep } from "node:timers/promises";

/** @import { HttpRangeOptions } from "./http-range-storage.js" */

/** Longest wait before a retry, milliseconds. */
const longestWait = 10_000;

/** A failure that may be gone the next time. */
class Transient extends Error {
  /**
   * @param {string} message
   * @param {{ wait?: number, cause?: unknown }} [options] `wait`: milliseconds that the server asks for
   */
  constructor(message, { wait = 0, cause } = {}) {
    super(message, { cause });
    this.wait = wait;
  }
}

/** Gets ranges of one version of one file. */
export class RangeClient {
  url;
  /** Bytes; known once {@link open} has answered. */
  size = 0;
  #etag = "";
  #headers;
  #retries;
  #backoff;
  #timeout;
  #free;
  /** @type {(() => void)[]} */
  #queue = [];
  #controller = new AbortController();
  #signal;

  /**
   * @param {URL} url
   * @param {HttpRangeOptions} options
   */
  constructor(url, { headers = {}, retries = 4, backoff = 200, timeout = 30_000, parallel = 6, signal }) {
    if (url.protocol !== "http:" && url.protocol !== "https:") {
      throw new TypeError(`${url.href}: expected an http: or https: URL`);
    }
    url.hash = "";
    this.url = url;
    this.#headers = headers;
    this.#retries = retries;
    this.#backoff = backoff;
    this.#timeout = timeout;
    this.#free = parallel;
    const { signal: closed } = this.#controller;
    this.#signal = signal === undefined ? closed : AbortSignal.any([closed, signal]);
  }

  /**
   * Learns the file's size and version, and gets its first bytes: at most `length`.
   *
   * @param {number} length
   */
  async open(length) {
    return this.#retrying(async (signal) => {
      const response = await this.#send({ range: `bytes=0-${length - 1}` }, signal);
      const range = response.headers.get("content-range") ?? "";
      if (response.status === 416 || (response.status === 200 && response.headers.get("content-length") === "0")) {
        await response.body?.cancel();
        if (response.status === 416 && !/^bytes \*\/0$/.test(range)) {
          throw new ImgError("EIO", `${this.url.href}: the server refuses the first bytes (416, ${range})`);
        }
        return new Uint8Array(0);
      }
      await this.#expectPartial(response);
      const [, last = "", total = ""] = /^bytes 0-(\d+)\/(\d+)$/.exec(range) ?? [];
      const size = Number(total);
      const expected = Math.min(length, size);
      if (last === "" || !Number.isSafeInteger(size) || Number(last) !== expected - 1) {
        await response.body?.cancel();
        throw this.#unsupported(`the server answers with the range ${JSON.stringify(range)}`);
      }
      const etag = response.headers.get("etag");
      if (etag === null || etag.startsWith("W/")) {
        await response.body?.cancel();
        throw this.#unsupported(`the server gives no strong ETag (${etag ?? "none"}), so changes would go unnoticed`);
      }
      this.size = size;
      this.#etag = etag;
      return readBody(response, expected, signal);
    });
  }

  /**
   * The bytes `[offset, offset + length)`, all of which lie inside the file.
   *
   * @param {number} offset
   * @param {number} length
   */
  async fetch(offset, length) {
    return this.#retrying(async (signal) => {
      const last = offset + length - 1;
      // If-Match rather than If-Range: a file that has changed is refused, not sent as a whole
      const response = await this.#send({ range: `bytes=${offset}-${last}`, "if-match": this.#etag }, signal);
      const etag = response.headers.get("etag");
      const range = response.headers.get("content-range");
      // a server that doesn't know If-Match tells all the same
      if (response.status === 412 || response.status === 416 || (etag !== null && etag !== this.#etag)) {
        await response.body?.cancel();
        throw this.#changed(etag);
      }
      await this.#expectPartial(response);
      if (etag === null || range !== `bytes ${offset}-${last}/${this.size}`) {
        await response.body?.cancel();
        throw etag !== null && range?.startsWith(`bytes ${offset}-`)
          ? this.#changed(etag)
          : this.#unsupported(
              `asked for the bytes ${offset}-${last} of ${this.#etag}, the server answers with ${range} of ${etag}`,
            );
      }
      return readBody(response, length, signal);
    });
  }

  /** Ends what is in flight. */
  close() {
    this.#controller.abort(new ImgError("ERR_IMG_CLOSED", `${this.url.href} is closed`));
  }

  /**
   * @param {Readonly<Record<string, string>>} headers
   * @param {AbortSignal} signal
   */
  async #send(headers, signal) {
    try {
      // an encoded answer would be decoded on the way, and its ranges would be those of the encoded bytes
      const all = { "accept-encoding": "identity", ...this.#headers, ...headers };
      return await fetch(this.url, { headers: all, signal });
    } catch (cause) {
      throw signal.aborted ? cause : new Transient("the server can't be reached", { cause });
    }
  }

  /** @param {Response} response */
  async #expectPartial(response) {
    const { status } = response;
    const encoding = response.headers.get("content-encoding") ?? "identity";
    if (status === 206 && encoding === "identity") {
      return;
    }
    await response.body?.cancel();
    if (status === 408 || status === 425 || status === 429 || status >= 500) {
      const seconds = Number(response.headers.get("retry-after") ?? 0);
      throw new Transient(`the server answers with ${status}`, { wait: seconds > 0 ? seconds * 1000 : 0 });
    }
    if (status === 206) {
      throw this.#unsupported(`the server encodes what it sends (content-encoding: ${encoding})`);
    }
    if (status === 200) {
      throw this.#unsupported("the server ignores range requests");
    }
    const code = { 401: "EACCES", 403: "EACCES", 404: "ENOENT", 410: "ENOENT" }[status] ?? "EIO";
    throw new ImgError(code, `${this.url.href}: the server answers with ${status}`, { subject: this.url.href });
  }

  /**
   * @template T
   * @param {(signal: AbortSignal) => Promise<T>} attempt
   * @returns {Promise<T>}
   */
  async #retrying(attempt) {
    await this.#takeTurn();
    try {
      for (let failures = 0; ; failures++) {
        this.#signal.throwIfAborted();
        const timeout = AbortSignal.timeout(this.#timeout);
        try {
          return await attempt(AbortSignal.any([this.#signal, timeout]));
        } catch (error) {
          this.#signal.throwIfAborted();
          const failure = timeout.aborted ? new Transient(`no answer within ${this.#timeout} ms`) : error;
          if (!(failure instanceof Transient)) {
            throw failure;
          }
          if (failures === this.#retries) {
            throw new ImgError("EIO", `${this.url.href}: ${failure.message}, ${failures + 1} times`, {
              cause: failure.cause ?? failure,
              subject: this.url.href,
            });
          }
          const wait = Math.max(failure.wait, this.#backoff * 2 ** failures * (0.75 + Math.random() / 2));
          await sleep(Math.min(wait, longestWait), undefined, { signal: this.#signal });
        }
      }
    } catch (error) {
      this.#signal.throwIfAborted();
      throw error;
    } finally {
      this.#giveTurn();
    }
  }

  async #takeTurn() {
    if (this.#free > 0) {
      this.#free--;
    } else {
      await new Promise((resolve) => this.#queue.push(() => resolve(undefined)));
    }
  }

  #giveTurn() {
    const next = this.#queue.shift();
    if (next === undefined) {
      this.#free++;
    } else {
      next();
    }
  }

  /** @param {string} reason */
  #unsupported(reason) {
    return new ImgError("ERR_IMG_UNSUPPORTED", `${this.url.href}: ${reason}`, { subject: this.url.href });
  }

  /** @param {string | null} etag */
  #changed(etag) {
    return new ImgError(
      "ESTALE",
      `${this.url.href} has changed on the server: it was opened as ${this.#etag}, and is ${etag ?? "another version"} now`,
      { subject: this.url.href },
    );
  }
}

/**
 * @param {Response} response
 * @param {number} length
 * @param {AbortSignal} signal
 */
async function readBody(response, length, signal) {
  const bytes = new Uint8Array(length);
  let at = 0;
  try {
    for await (const part of response.body ?? []) {
      if (at + part.length > length) {
        throw new Transient(`more than the ${length} bytes that were asked for came`);
      }
      bytes.set(part, at);
      at += part.length;
    }
  } catch (cause) {
    throw cause instanceof Transient || signal.aborted ? cause : new Transient("the connection broke", { cause });
  }
  if (at < length) {
    throw new Transient(`${at} of ${length} bytes came`);
  }
  return bytes;
}
