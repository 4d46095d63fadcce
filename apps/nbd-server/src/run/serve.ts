import { requireSize, type ParsedArguments, type Terminal } from "@img/cli";
import { ImgError } from "@img/format-core";
import { NbdServer, type NbdObserver } from "@img/nbd";
import { listenNbd, type NbdListener } from "@img/nbd/node";

import { count, seconds } from "../arguments/choice.ts";
import { connectionLimits, type ConnectionLimits } from "../arguments/connection-limits.ts";
import { diskUse } from "../arguments/disk-use.ts";
import { exportPlans } from "../arguments/export-plans.ts";
import { limitRate } from "../exports/limit-rate.ts";
import { AddressFilter } from "../network/address-filter.ts";
import { exportUris } from "../network/export-uris.ts";
import { listenTargets } from "../network/listen-targets.ts";
import { RateLimiter, type Rates } from "../network/rate-limiter.ts";
import { Slots } from "../network/slots.ts";
import { tlsSettings } from "../network/tls-settings.ts";
import { joinObservers } from "../observe/join-observers.ts";
import { logObserver } from "../observe/log-observer.ts";
import { Metrics } from "../observe/metrics.ts";
import { serveMetrics } from "../observe/metrics-endpoint.ts";
import { reportReady } from "./background.ts";
import { Closers } from "./closers.ts";
import { Ending } from "./ending.ts";
import { Offer, type Decorate } from "./offer.ts";
import { openLog } from "./open-log.ts";
import { PidFile } from "./pid-file.ts";

/** What clients make of the invitation to use several connections: nbdcopy, and our own. */
const usualConnections = 4;

/** What a server is run with. */
export interface ServeContext {
  readonly args: ParsedArguments;
  readonly terminal: Terminal;
  /** Descriptors of sockets that listen already. */
  readonly sockets: readonly number[];
  /** Somebody waits to hear that clients can come, and nobody reads what is said after that. */
  readonly background: boolean;
}

/**
 * Serves what the command line asks for, until it is to end. Then nobody is let in any more, what clients have asked for is finished, and
 * all images are flushed and closed.
 * @returns the exit code
 * @throws what makes it impossible to begin, or to end properly
 */
export async function serve(context: ServeContext): Promise<number> {
  const closers = new Closers();
  await closers.around(() => run(context, closers));
  return 0;
}

async function run({ args, terminal, sockets, background }: ServeContext, closers: Closers): Promise<void> {
  const plans = exportPlans(args, diskUse(args));
  const targets = listenTargets(args, sockets);
  const filter = new AddressFilter(args.values("allow"), args.values("deny"));
  const grace = seconds(args, "grace", 5);
  const limits = connectionLimits(args);
  const tls = await tlsSettings(args);
  const metrics = args.has("metrics") ? new Metrics() : undefined;
  const openedLog = openLog(args, terminal, background);
  closers.add(() => {
    openedLog.close();
  });
  const { log } = openedLog;
  const pidFile = new PidFile(args.value("pid-file"));
  // who waits until it has gone wants to use the images
  closers.add(() => {
    pidFile.remove();
  });
  const offer = await Offer.open(plans, decorator(args, metrics, limits), terminal);
  closers.add(() => offer[Symbol.asyncDispose]());
  const ending = new Ending(args.has("persistent"));
  closers.add(() => {
    ending.dispose();
  });
  const endpoint = metrics === undefined ? undefined : await serveMetrics(metrics, args.value("metrics") ?? "");
  closers.add(() => endpoint?.close());
  const observer = joinObservers([
    ending.observer,
    logObserver(log),
    ...(metrics === undefined ? [] : [metrics.observer]),
  ]);
  const server = new NbdServer(offer.table, {
    ...timesOf(args),
    maxConnections: limits.maximum,
    ...(tls === undefined ? {} : { tls }),
    observer,
  });
  closers.add(() => server.close({ grace }));
  const door = doorOf(server, new Slots(limits.shared), observer);
  const listeners: NbdListener[] = [];
  for (const target of targets) {
    const listener = await listenNbd(door, target, {
      accept: ({ remoteAddress }) => filter.admits(remoteAddress),
    });
    closers.add(() => listener.close());
    listeners.push(listener);
  }
  const places = endpoint === undefined ? "" : `${endpoint.address}\n`;
  const said = `${await introduction(offer, listeners, tls?.mode === "required")}${places}`;
  pidFile.write();
  log.write("info", "listening", { addresses: listeners.map(({ address }) => JSON.stringify(address)).join(" ") });
  const shown = args.has("quiet") ? "" : said;
  await (background ? reportReady(shown) : say(terminal, shown));
  await ending.reached;
  log.write("info", "ending", { clients: server.connectionCount });
}

/** Lets in so many clients at once. */
function doorOf(server: NbdServer, slots: Slots, observer: NbdObserver): Pick<NbdServer, "serve"> {
  return {
    serve: async (stream) => {
      if (!(await slots.run(() => server.serve(stream)))) {
        const error = new ImgError("ERR_IMG_LIMIT", `${stream.label}: too many clients wait already`);
        stream.destroy(error);
        observer.refused?.(stream.label, error);
      }
    },
  };
}

async function say(terminal: Terminal, text: string): Promise<void> {
  await terminal.print(text);
  await terminal.flush();
}

/** Where everything is, one URI in each line. */
async function introduction(offer: Offer, listeners: readonly NbdListener[], tls: boolean): Promise<string> {
  const addresses = listeners.map(({ address }) => address);
  const entries = await offer.table.list({ secure: true });
  return entries.flatMap(({ name }) => exportUris(name, addresses, tls).map((uri) => `${uri}\n`)).join("");
}

/** What is put around all exports. */
function decorator(args: ParsedArguments, metrics: Metrics | undefined, limits: ConnectionLimits): Decorate {
  const bytes = args.value("max-bytes-per-second");
  const rates: Rates = {
    ...(bytes === undefined ? {} : { bytesPerSecond: Math.max(1, requireSize(bytes, "max-bytes-per-second")) }),
    ...(args.has("max-requests-per-second") ? { requestsPerSecond: count(args, "max-requests-per-second", 1, 1) } : {}),
  };
  // a client that is invited to come several times isn't to wait for itself
  const few = Math.min(limits.shared, limits.maximum) < usualConnections;
  return (name, exported) => {
    const timed = metrics === undefined ? exported : metrics.timed(name, exported);
    const shown = few ? { ...timed, multiConn: false } : timed;
    if (Object.keys(rates).length === 0) {
      return () => shown;
    }
    const limiter = new RateLimiter(rates);
    return (gone) => limitRate(shown, limiter, gone);
  };
}

function timesOf(args: ParsedArguments): {
  readonly handshakeTimeout: number;
  readonly idleTimeout: number;
  readonly stallTimeout: number;
} {
  return {
    handshakeTimeout: seconds(args, "handshake-limit", 10),
    idleTimeout: seconds(args, "idle-limit", 0),
    stallTimeout: seconds(args, "stall-limit", 60),
  };
}
