import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** One file that is served. */
export interface ServedFile {
  readonly type: string;
  readonly body: Uint8Array;
}

/** Everything that a page may do is said here, so that whatever else it tries is an error: no other origin, no `eval`. */
const headers: Readonly<Record<string, string>> = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
  "cross-origin-resource-policy": "same-origin",
  "content-security-policy":
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self'; worker-src 'self' blob:; img-src data:",
  "x-content-type-options": "nosniff",
  "cache-control": "no-store",
};

/**
 * Serves files from memory on a free port of this machine, as an isolated origin: shared memory works there. Understands requests for one range
 * of bytes, also if they are for a version (`If-Match`).
 */
export class PageServer implements AsyncDisposable {
  readonly #server: Server;
  readonly #files: ReadonlyMap<string, ServedFile>;
  readonly #etags = new WeakMap<Uint8Array, string>();

  private constructor(files: ReadonlyMap<string, ServedFile>) {
    this.#files = files;
    this.#server = createServer((request, response) => {
      this.#answer(request, response);
    });
  }

  /** @param files - by path, with the slash in front */
  static async start(files: ReadonlyMap<string, ServedFile>): Promise<PageServer> {
    const server = new PageServer(files);
    await new Promise<void>((resolve, reject) => {
      server.#server.once("error", reject).listen(0, "127.0.0.1", resolve);
    });
    return server;
  }

  /** The address of `path`. */
  url(path: string): string {
    return `http://localhost:${String((this.#server.address() as AddressInfo).port)}${path}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const file = this.#files.get(new URL(request.url ?? "/", "http://localhost").pathname);
    if (file === undefined) {
      response.writeHead(404, headers).end();
      return;
    }
    const etag = this.#etag(file);
    if ((request.headers["if-match"] ?? etag) !== etag) {
      response.writeHead(412, headers).end();
      return;
    }
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
    const start = Number(range?.[1] ?? 0);
    const body = range === null ? file.body : file.body.subarray(start, Number(range[2]) + 1);
    const place = `bytes ${String(start)}-${String(start + body.length - 1)}/${String(file.body.length)}`;
    response.writeHead(range === null ? 200 : 206, {
      ...headers,
      etag,
      "content-type": file.type,
      "accept-ranges": "bytes",
      "content-length": body.length,
      ...(range === null ? {} : { "content-range": place }),
    });
    response.end(request.method === "HEAD" ? undefined : body);
  }

  #etag({ body }: ServedFile): string {
    const etag = this.#etags.get(body) ?? `"${createHash("sha256").update(body).digest("hex")}"`;
    this.#etags.set(body, etag);
    return etag;
  }
}
