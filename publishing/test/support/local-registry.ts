import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Manifest } from "../../src/published-package.ts";
import { readTarball } from "./tarball.ts";

interface Served {
  readonly manifest: Manifest;
  readonly tarball: Buffer;
}

/**
 * As much of an npm registry as an install and a publish need, for our own packages alone. It takes no package: what is sent to it is refused and kept
 * in {@link uploads}.
 */
export class LocalRegistry implements AsyncDisposable {
  readonly #packages: ReadonlyMap<string, Served>;
  readonly #server: Server = createServer((request, response) => {
    this.#answer(request, response);
  });
  /** The paths of all requests that weren't for reading. */
  readonly uploads: string[] = [];
  /** Ends with `/`. */
  url = "";

  private constructor(packages: ReadonlyMap<string, Served>) {
    this.#packages = packages;
  }

  /** @param tarballs the packages that it has, one version of each */
  static async start(tarballs: readonly string[]): Promise<LocalRegistry> {
    const packages = tarballs.map((path): [string, Served] => {
      const manifest = JSON.parse(readTarball(path).get("package.json")?.bytes.toString("utf8") ?? "{}") as Manifest;
      return [manifest.name, { manifest, tarball: readFileSync(path) }];
    });
    const registry = new LocalRegistry(new Map(packages));
    await new Promise<void>((resolve) => registry.#server.listen(0, "127.0.0.1", resolve));
    const { port } = registry.#server.address() as AddressInfo;
    registry.url = `http://127.0.0.1:${port}/`;
    return registry;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    // Other runs have other packages of the same version: nothing may be kept.
    response.setHeader("cache-control", "no-store");
    const path = decodeURIComponent(request.url ?? "").slice(1);
    if (request.method !== "GET") {
      this.uploads.push(`${request.method ?? ""} ${path}`);
      response.writeHead(403).end();
      return;
    }
    const [name = "", file] = path.split("/-/");
    const served = this.#packages.get(name);
    if (served === undefined) response.writeHead(404, { "content-type": "application/json" }).end("{}");
    else if (file === undefined)
      response.setHeader("content-type", "application/json").end(this.#describe(name, served));
    else response.setHeader("content-type", "application/octet-stream").end(served.tarball);
  }

  #describe(name: string, { manifest, tarball }: Served): string {
    const dist = {
      tarball: `${this.url}${name}/-/package.tgz`,
      integrity: `sha512-${createHash("sha512").update(tarball).digest("base64")}`,
      shasum: createHash("sha1").update(tarball).digest("hex"),
    };
    const { version } = manifest;
    return JSON.stringify({ name, "dist-tags": { latest: version }, versions: { [version]: { ...manifest, dist } } });
  }
}
