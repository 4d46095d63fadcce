import type { FormatAccess } from "@img/format-core";
import { applySnapshot, createSnapshot, deleteSnapshot, info, listSnapshots, qemuInfo } from "@img/operations";
import type { ParsedArguments } from "../arguments/parsed-arguments.ts";
import { UsageError } from "../arguments/usage-error.ts";
import { CommandError } from "../errors/command-error.ts";
import { snapshotFailure } from "../errors/snapshot-failure.ts";
import { imageSpec, openNamed } from "../images/open-named.ts";
import { closeAfter, openWritable } from "../images/open-writable.ts";
import { snapshotList } from "../output/snapshot-list.ts";
import { oneOperand } from "../values/operand.ts";
import type { VerbContext } from "./verb.ts";

const actions = ["l", "a", "c", "d"] as const;
type Action = (typeof actions)[number];

/** `img snapshot`. */
export async function run({ args, terminal, signal }: VerbContext): Promise<number> {
  const action = actionOf(args);
  const name = oneOperand(args);
  if (action === "l") {
    const named = imageSpec(name, args, undefined, { inspect: true });
    const image = await openNamed(named, signal);
    try {
      const { snapshots = [] } = qemuInfo(await info(image, { filename: named.filename }));
      if (snapshots.length > 0) {
        await terminal.print(`${["Snapshot list:", ...snapshotList(snapshots)].join("\n")}\n`);
      }
    } finally {
      await image.close();
    }
    return 0;
  }
  if (args.has("force-share")) {
    throw new CommandError(`Could not open '${name}': force-share=on can only be used with read-only images`);
  }
  const snapshot = args.value(action) ?? "";
  const image = await openWritable(imageSpec(name, args, undefined), { terminal, signal });
  try {
    await change(image, action, snapshot);
  } catch (error) {
    await closeAfter(image);
    throw snapshotFailure(error, action, snapshot);
  }
  await image.close();
  return 0;
}

function actionOf(args: ParsedArguments): Action {
  const given = actions.flatMap((action) => args.values(action).map(() => action));
  const [action = "l", ...more] = given;
  if (more.length > 0) {
    throw new UsageError("Cannot mix '-l', '-a', '-c', '-d'");
  }
  return action;
}

async function change(image: FormatAccess, action: Exclude<Action, "l">, snapshot: string): Promise<void> {
  switch (action) {
    case "a":
      await applySnapshot(image, snapshot);
      return;
    case "c":
      await createSnapshot(image, { name: snapshot });
      return;
    case "d":
      // by name alone, as in qemu-img
      if (!listSnapshots(image).some(({ name }) => name === snapshot)) {
        throw new CommandError(`Could not delete snapshot '${snapshot}': snapshot not found`);
      }
      await deleteSnapshot(image, { name: snapshot });
  }
}
