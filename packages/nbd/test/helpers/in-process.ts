import { setImmediate as turn } from "node:timers/promises";
import { optionTypes } from "../../src/protocol/handshake-numbers.ts";
import type { NbdServer } from "../../src/server/nbd-server.ts";
import { duplexPair } from "../../src/stream/duplex-pair.ts";
import { Probe } from "../conformance/probe.ts";

/** A client of `server` in the handshake, without a socket between them. */
export async function join(server: NbdServer): Promise<{ readonly probe: Probe; readonly served: Promise<void> }> {
  const [near, far] = duplexPair("test");
  const served = server.serve(far);
  return { probe: await Probe.greet(near), served };
}

/** The same in the transmission phase of the export of this name, with structured replies. */
export async function use(server: NbdServer, name = "disk"): Promise<Awaited<ReturnType<typeof join>>> {
  const joined = await join(server);
  await joined.probe.option(optionTypes.structuredReply);
  await joined.probe.info(optionTypes.go, name);
  joined.probe.style = "structured";
  return joined;
}

/** Lets everything happen that can happen without the test. */
export async function settle(): Promise<void> {
  for (let count = 0; count < 20; count++) {
    await turn();
  }
}
