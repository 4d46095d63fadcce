import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { handshakeCases } from "./handshake-cases.ts";
import { foreignPeer, ourPeer, type Peer } from "./peers.ts";
import { skip } from "./probe-case.ts";
import { transmissionCases } from "./transmission-cases.ts";

/** The same probe for all: what it says of servers that are known is what makes it credible about ours. */
describe.each(["ours", "qemu-nbd", "nbdkit"] as const)("on the wire, %s", (name) => {
  let peer: Peer;
  beforeAll(async () => {
    peer = name === "ours" ? ourPeer() : await foreignPeer(name);
  });
  afterAll(() => peer.close());
  afterEach(() => {
    peer.dropConnections();
  });

  test.each([...handshakeCases, ...transmissionCases])("$name", async ({ run, expected, others }) => {
    const known = name === "ours" ? undefined : others?.[name];
    if (known !== skip) {
      expect(await run(peer)).toEqual(known ?? expected);
    }
  });
});
