import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { CommandError } from "../src/errors/command-error.ts";
import { main } from "../src/main.ts";

/** What the verb does once it runs. */
const verb = vi.hoisted(() => ({ fail: (_signal: AbortSignal): unknown => undefined }));

vi.mock("../src/verbs/find-verb.ts", () => ({
  findVerb: () => ({
    name: "fails",
    options: [],
    load: () => ({
      run: ({ signal }: { readonly signal: AbortSignal }) => Promise.reject(verb.fail(signal)),
    }),
  }),
}));

let said: string;

beforeEach(() => {
  said = "";
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    said += String(text);
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
});

const hangUp = (): unknown => process.emit("SIGHUP", "SIGHUP");
const run = (): Promise<number> => main(["node", "img", "fails"]);

it.each<[string, (signal: AbortSignal) => unknown]>([
  ["the signal's reason", (signal) => signal.reason as unknown],
  ["what has it as its cause", ({ reason }) => new CommandError("cannot go on", { cause: reason })],
])("a command that ends because of a signal says nothing: %s", async (_what, failure) => {
  verb.fail = (signal) => {
    hangUp();
    return failure(signal);
  };
  expect(await run()).toBe(129);
  expect(said).toBe("");
});

it("another failure after a signal is told, whose code is still the signal's", async () => {
  verb.fail = () => {
    hangUp();
    return new CommandError("all of the new file is in .target.part");
  };
  expect(await run()).toBe(129);
  expect(said).toBe("img: all of the new file is in .target.part\n");
});

it("an abort without a signal is a mistake", async () => {
  verb.fail = () => AbortSignal.abort().reason as unknown;
  expect(await run()).toBe(70);
  expect(said).toContain("img: internal error: AbortError");
});
