import { optionTypes } from "../../src/protocol/handshake-numbers.ts";
import { Probe } from "./probe.ts";
import type { Peer } from "./peers.ts";

/** One row of the checklist: what is sent, and what has to come of it. */
export interface ProbeCase {
  readonly name: string;
  /** What was observed. */
  run(peer: Peer): Promise<unknown>;
  readonly expected: unknown;
  /** What the others are known to do instead; `skip`: it would break them, or they don't have it. */
  readonly others?: { readonly "qemu-nbd"?: unknown; readonly nbdkit?: unknown };
}

/** Stands for: not asked. */
export const skip: unique symbol = Symbol("skip");

/** A connection in the handshake. */
export async function handshake(peer: Peer, kind: "writable" | "readOnly" = "writable"): Promise<Probe> {
  return Probe.greet(await peer.connect(kind));
}

/** How {@link transmission} gets there. */
export interface ProbeSetup {
  readonly style?: "simple" | "structured" | "extended";
  readonly kind?: "writable" | "readOnly";
  /** Contexts to select. */
  readonly contexts?: readonly string[];
}

/** A connection in the transmission phase. Default: structured replies, writable, no contexts. */
export async function transmission(peer: Peer, setup: ProbeSetup = {}): Promise<Probe> {
  const { style = "structured", kind = "writable", contexts = [] } = setup;
  const probe = await handshake(peer, kind);
  if (style !== "simple") {
    await probe.option(style === "extended" ? optionTypes.extendedHeaders : optionTypes.structuredReply);
  }
  if (contexts.length > 0) {
    await probe.select("disk", contexts);
  }
  await probe.info(optionTypes.go, "disk");
  probe.style = style;
  return probe;
}
