import { backingLocation } from "@img/operations";
import { openImage, type GateSpec } from "@img/operations/node";
import { CommandError } from "../errors/command-error.ts";
import { openFailure } from "../errors/open-failure.ts";
import { pluginFormats, pluginStorages } from "../plugins/plugin-options.ts";
import type { Plugins } from "../plugins/plugins.ts";
import { plainPath, type NamedImage } from "./image-name.ts";

/**
 * Opens the image that is to be below a new one, so that what is wrong with it is reported as such and before anything is written.
 * @param backing - as the new image is to name it; `undefined`: there is to be none
 * @throws CommandError in qemu-img's words
 */
export async function checkNewBacking(
  target: NamedImage,
  backing: { readonly name: string; readonly format: string } | undefined,
  { gate, plugins }: { readonly gate: GateSpec; readonly plugins: Plugins },
): Promise<void> {
  if (backing === undefined) {
    return;
  }
  const name = backingLocation(target.spec.path, backing.name) ?? backing.name;
  const spec = { path: plainPath(name, plugins), format: backing.format };
  const formats = pluginFormats(plugins);
  try {
    await (await openImage({ ...spec, gate, ...pluginStorages(plugins) }, formats)).close();
  } catch (error) {
    const failure = openFailure(error, { name, filename: name, spec, options: formats });
    if (!(failure instanceof CommandError)) {
      throw failure;
    }
    const [, reason = failure.message] = /^Could not open '.*?': (.*)$/s.exec(failure.message) ?? [];
    const { hint } = failure;
    throw new CommandError(`Could not open '${target.name}': Could not open backing file: ${reason}`, {
      cause: error,
      ...(hint === undefined ? {} : { hint }),
    });
  }
}
