import { MemoryStorage } from "@img/format-core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { optionTypes, transmissionFlags } from "../../src/protocol/handshake-numbers.ts";
import { serializeInfoRequest } from "../../src/protocol/info-request.ts";
import { serializeMetaContextRequest } from "../../src/protocol/meta-context.ts";
import type { ReplyStyle } from "../../src/protocol/reply.ts";
import { commands } from "../../src/protocol/transmission-numbers.ts";
import { NbdServer } from "../../src/server/nbd-server.ts";
import { storageExport } from "../../src/server/storage-export.ts";
import { duplexPair } from "../../src/stream/duplex-pair.ts";
import { Probe } from "../conformance/probe.ts";
import { fragmenting } from "../helpers/fragmenting.ts";

const seed = Number(process.env["IMG_SEED"] ?? 1);
const numRuns = 200 * Number(process.env["IMG_INTEROP_SCALE"] ?? 1);
const junk = Uint8Array.of(1, 2, 3);

/** What a client may do before it chooses an export, by what there is to be known about it. */
type Step =
  | { readonly kind: "structured" | "extended" | "list" | "startTls" | "unknown"; readonly junk: boolean }
  | { readonly kind: "info" | "setContexts" | "listContexts"; readonly name: string; readonly how: string };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constantFrom("structured" as const, "extended", "list", "startTls", "unknown"),
    junk: fc.boolean(),
  }),
  fc.record({
    kind: fc.constantFrom("info" as const, "setContexts", "listContexts"),
    name: fc.constantFrom("disk", "other", "nothing"),
    how: fc.constantFrom("allocation", "allocation", "twice", "foreign", "malformed"),
  }),
);

/** What the specification says that a handshake has come to. */
interface State {
  style: ReplyStyle;
  /** The export for which `base:allocation` is selected. */
  selectedFor: string | undefined;
}

const queriesOf: Readonly<Record<string, readonly string[]>> = {
  allocation: ["base:allocation"],
  twice: ["base:allocation", "base:allocation"],
  foreign: ["x-mine:this", "base:that"],
  malformed: [],
};

/** The reply to a step, as the names of the replies' types, and what it does to the state. */
function expected(step: Step, state: State): string {
  switch (step.kind) {
    case "unknown":
      return "ERR_UNSUP";
    case "list":
      return step.junk ? "ERR_INVALID" : "SERVER+SERVER+ACK";
    case "startTls":
      return step.junk ? "ERR_INVALID" : "ERR_POLICY";
    case "structured":
    case "extended":
      return agree(step.kind, step.junk, state);
    case "info":
      return step.how === "malformed" ? "ERR_INVALID" : step.name === "nothing" ? "ERR_UNKNOWN" : "INFO+ACK";
    case "setContexts":
    case "listContexts":
      return contexts(step, state);
  }
}

function agree(style: "structured" | "extended", withJunk: boolean, state: State): string {
  if (withJunk || state.style === style) {
    return "ERR_INVALID";
  }
  if (state.style === "extended") {
    return "ERR_EXT_HEADER_REQD";
  }
  state.style = style;
  return "ACK";
}

function contexts({ kind, name, how }: Extract<Step, { name: string }>, state: State): string {
  const sets = kind === "setContexts";
  if (sets) {
    state.selectedFor = undefined;
  }
  if ((sets && state.style === "simple") || how === "malformed") {
    return "ERR_INVALID";
  }
  if (name === "nothing") {
    return "ERR_UNKNOWN";
  }
  if (how === "foreign") {
    return "ACK";
  }
  if (sets) {
    state.selectedFor = name;
  }
  return "META_CONTEXT+ACK";
}

function take(probe: Probe, step: Step): Promise<string> {
  if ("junk" in step) {
    const { structuredReply, extendedHeaders, list, startTls } = optionTypes;
    const number = { structured: structuredReply, extended: extendedHeaders, list, startTls, unknown: 4711 }[step.kind];
    return probe.option(number, step.junk ? junk : new Uint8Array());
  }
  const { kind, name, how } = step;
  const data =
    kind === "info"
      ? serializeInfoRequest({ name, infos: [] })
      : serializeMetaContextRequest({ name, queries: queriesOf[how] ?? [] });
  const { info, setMetaContext, listMetaContext } = optionTypes;
  const number = { info, setContexts: setMetaContext, listContexts: listMetaContext }[kind];
  return probe.option(number, how === "malformed" ? data.subarray(0, -1) : data);
}

test("a handshake in any order, cut anyhow, is answered as the specification says, and requests work then", async () => {
  const memory = new MemoryStorage(new Uint8Array(4096).fill(7), { fixedSize: true });
  const exports = ["disk", "other"].map((name) => [name, storageExport(memory)] as const);
  const server = new NbdServer(new Map(exports));
  const seen = new Set<string>();
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 20 }),
      fc.infiniteStream(fc.integer({ min: 1, max: 60 })),
      async (steps, lengths) => {
        const [near, far] = duplexPair();
        const served = server.serve(far);
        const probe = await Probe.greet(fragmenting(near, () => Number(lengths.next().value)));
        const state: State = { style: "simple", selectedFor: undefined };
        for (const each of steps) {
          const wanted = expected(each, state);
          expect(await take(probe, each)).toBe(wanted);
          seen.add(`${each.kind} ${wanted}`);
        }
        expect(await probe.info(optionTypes.go, "disk")).toBe("ACK");
        probe.style = state.style;
        expect((probe.flags & transmissionFlags.sendDf) !== 0).toBe(state.style !== "simple");
        expect(await probe.alive()).toBe("alive");
        const status = await probe.call({ type: commands.blockStatus, length: 4096 });
        expect(status.error).toBe(state.selectedFor === "disk" ? undefined : "EINVAL");
        await probe.send(probe.request({ type: commands.disconnect }).bytes);
        await served;
        near.destroy();
      },
    ),
    { numRuns, seed },
  );
  // everything that can be answered has been
  expect(seen.size).toBeGreaterThan(18);
  expect(server.connectionCount).toBe(0);
});
