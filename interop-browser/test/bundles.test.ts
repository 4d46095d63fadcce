import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { bundle } from "../src/host/bundle.ts";
import { pureEntries } from "../src/host/pure-entries.ts";

const entries = pureEntries();

/** Those that are built before this package is tested: what it depends on. */
const { dependencies } = JSON.parse(readFileSync(join(import.meta.dirname, "..", "package.json"), "utf8")) as {
  readonly dependencies: Readonly<Record<string, string>>;
};

/** Inputs that are meant for Node alone. */
const forNode = /\/(node|zero-node|codecs\/node|node-[^/]*)\.[jt]s$/;

/** Node's names for itself, that a bundle could only use as globals. */
const nodeGlobals = /(?<![.\w$"'`#-])(process|Buffer|__dirname|__filename|setImmediate)(?=[.(\s])/;

describe("bundles for browsers", () => {
  it("are tried of every package that isn't Node's", () => {
    expect(entries.map(({ name }) => name)).toEqual(expect.arrayContaining(Object.keys(dependencies)));
  });

  it("can't be made of what needs Node", async () => {
    await expect(bundle({ program: 'export * from "@img/operations/node"' })).rejects.toThrow(
      /Could not resolve "node:/,
    );
  });

  it.each(entries)("are made of the sources of $name, with nothing that stands in for Node", async ({ source }) => {
    await expectPure(source, false);
  });

  const published = entries.filter(({ name }) => name in dependencies);
  it.each(published)(
    "are made of $name as it is published, with nothing that stands in for Node",
    async ({ built }) => {
      expect(existsSync(built), `${built} is missing: build the packages first`).toBe(true);
      await expectPure(built, true);
    },
  );
});

async function expectPure(file: string, built: boolean): Promise<void> {
  const program = `export * from ${JSON.stringify(file)}`;
  const { inputs } = await bundle({ program }, { built });
  const ours = [...inputs.keys()].filter((input) => input.includes("packages/"));
  expect(ours.filter((input) => forNode.test(input))).toEqual([]);
  expect(ours.filter((input) => input.includes("/dist/"))).toEqual(built ? ours : []);

  // other people's code may look whether it runs in Node; ours doesn't
  const { code } = await bundle({ program }, { built, dependencies: false });
  expect(nodeGlobals.exec(withoutComments(code))?.[0]).toBeUndefined();
}

function withoutComments(code: Uint8Array): string {
  return new TextDecoder().decode(code).replace(/\/\*[^]*?\*\/|\/\/[^\n]*/g, "");
}
