import { parseArgs } from "node:util";
import { checkInterfaces } from "./check-interfaces.ts";
import { root } from "./root.ts";

const { values } = parseArgs({
  options: { update: { type: "boolean", default: false }, base: { type: "string" } },
});
try {
  const { notes, problems } = checkInterfaces(root, {
    update: values.update,
    base: values.base ?? process.env["IMG_API_BASE"],
  });
  for (const note of notes) process.stdout.write(`${note}\n`);
  for (const problem of problems) process.stderr.write(`${problem}\n`);
  process.exitCode = problems.length > 0 ? 1 : 0;
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
