import type { AddressInfo } from "node:net";
import { CommandError } from "@img/cli";
import { wrapHostError } from "@img/format-core";
import type { DuplexStream } from "@img/nbd";
import { listenNbd } from "@img/nbd/node";
import type { Metrics } from "./metrics.ts";

/** An HTTP server that answers with figures. */
export interface MetricsEndpoint {
  /** For people: where it listens. */
  readonly address: string;
  close(): void;
}

/**
 * Serves figures under `/metrics`.
 * @param where - `[HOST:]PORT` (default host: localhost), or `unix:PATH`
 * @throws CommandError for something else; ImgError when nobody can listen there
 */
export async function serveMetrics(metrics: Metrics, where: string): Promise<MetricsEndpoint> {
  const target = parseAddress(where);
  // most servers have no such endpoint, and the module takes a while to load
  const { createServer } = await import("node:http");
  const host = createServer((request, response) => {
    if (request.method !== "GET" || request.url !== "/metrics") {
      response.writeHead(404).end("figures are at /metrics\n");
      return;
    }
    response.writeHead(200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" }).end(metrics.text());
  });
  if ("path" in target) {
    await clearPlace(target.path, where);
  }
  await new Promise<void>((resolve, reject) => {
    host.once("error", (error) => {
      reject(wrapHostError(error, `cannot serve figures at ${where}`));
    });
    host.listen(target, resolve);
  });
  host.on("error", () => undefined);
  const address = host.address();
  return {
    address: typeof address === "string" || address === null ? where : urlOf(address),
    close: () => {
      host.close();
      host.closeAllConnections();
    },
  };
}

/**
 * Removes a socket's file that nobody listens on, by the rules of sockets for NBD clients: listens there as for them, and ends that.
 * @throws ImgError when nobody can listen there
 */
async function clearPlace(path: string, where: string): Promise<void> {
  const turnAway = async (stream: DuplexStream): Promise<void> => {
    stream.destroy();
  };
  try {
    const listener = await listenNbd({ serve: turnAway }, { kind: "unix", path });
    await listener.close();
  } catch (error) {
    // who reads it has asked for figures
    throw wrapHostError((error as Error).cause ?? error, `cannot serve figures at ${where}`);
  }
}

function parseAddress(where: string): { readonly path: string } | { readonly host: string; readonly port: number } {
  if (where.startsWith("unix:")) {
    return { path: where.slice("unix:".length) };
  }
  const [, bracketed, plain, port] = /^(?:(?:\[([^\]]+)\]|([^:]+)):)?(\d{1,5})$/.exec(where) ?? [];
  if (port === undefined || Number(port) > 65535) {
    throw new CommandError(`Invalid metrics address '${where}': expected [HOST:]PORT or unix:PATH`);
  }
  return { host: bracketed ?? plain ?? "localhost", port: Number(port) };
}

function urlOf({ address, port }: AddressInfo): string {
  return `http://${address.includes(":") ? `[${address}]` : address}:${port}/metrics`;
}
