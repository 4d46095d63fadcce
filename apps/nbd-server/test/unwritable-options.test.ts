import { parseArguments } from "@img/cli";
import { afterAll, beforeAll, expect, test } from "vitest";
import { diskUse } from "../src/arguments/disk-use.ts";
import { exportPlans } from "../src/arguments/export-plans.ts";
import { optionGroups } from "../src/arguments/option-groups.ts";
import { openExport, type OpenedImage } from "../src/exports/open-export.ts";
import { ScratchDirectory } from "./support/scratch-directory.ts";

const directory = new ScratchDirectory();
let image = "";

beforeAll(async () => {
  image = `driver=qcow2,file.filename=${await directory.image("disk.qcow2")}`;
});
afterAll(() => {
  directory[Symbol.dispose]();
});

async function open(...words: readonly string[]): Promise<OpenedImage> {
  const args = parseArguments(
    words,
    optionGroups.flatMap(({ options }) => options),
  );
  const [plan] = exportPlans(args, diskUse(args)).exports;
  if (plan === undefined) {
    throw new Error("nothing is served");
  }
  return openExport(plan.image, plan);
}

test.each([
  ["read-only=on", "Block node is read-only"],
  ["file.read-only=on", "Block node is read-only"],
  ["force-share=on", "force-share=on can only be used with read-only images"],
])("an image with %s isn't served to be written to", async (option, reason) => {
  const options = `${image},${option}`;
  await expect(open("--image-opts", options)).rejects.toThrow(`Could not open '${options}': ${reason}`);
  for (const how of ["-r", "-s"]) {
    const opened = await open("--image-opts", how, options);
    expect(opened.export.writable).toBe(how === "-s");
    await opened.close();
  }
});
