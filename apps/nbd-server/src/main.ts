import { InternalErrors, loadPlugins, parseArguments, reportError, Terminal, version } from "@img/cli";
import { helpText } from "./arguments/help-text.ts";
import { optionGroups } from "./arguments/option-groups.ts";
import { refuseOptions } from "./arguments/refuse-options.ts";
import { inheritedSockets } from "./network/socket-activation.ts";
import { isBackground, startBackground } from "./run/background.ts";
import { list } from "./run/list.ts";
import { serve } from "./run/serve.ts";

/**
 * The whole program.
 * @param argv - as `process.argv`
 * @returns the exit code
 */
export async function main(argv: readonly string[]): Promise<number> {
  const terminal = new Terminal(argv[1]);
  const internalErrors = new InternalErrors(terminal);
  try {
    const code = await run(argv, terminal);
    await terminal.flush();
    return code;
  } catch (error) {
    await terminal.flushAfterFailure();
    return reportError(error, terminal);
  } finally {
    internalErrors.settled();
  }
}

async function run(argv: readonly string[], terminal: Terminal): Promise<number> {
  const background = isBackground(process.env);
  const sockets = inheritedSockets(process.env, process.pid);
  const parsed = parseArguments(
    argv.slice(2),
    optionGroups.flatMap(({ options }) => options),
  );
  if (parsed.has("help")) {
    await terminal.print(helpText(terminal.program));
    return 0;
  }
  if (parsed.has("version")) {
    await terminal.print(`${terminal.program} version ${version}\n`);
    return 0;
  }
  refuseOptions(parsed);
  if (parsed.has("list")) {
    return list(parsed, terminal);
  }
  if (parsed.has("fork") && !background) {
    return startBackground(argv, sockets, terminal);
  }
  const plugins = parsed.values("plugin");
  const args = plugins.length === 0 ? parsed : parsed.withPlugins(await loadPlugins(plugins));
  return serve({ args, terminal, sockets, background });
}
