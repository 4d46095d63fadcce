import { parseArguments, parseBeforeLast } from "./arguments/parse-arguments.ts";
import { UsageError } from "./arguments/usage-error.ts";
import { reportError } from "./errors/report-error.ts";
import { programHelp, verbHelp } from "./help/help-text.ts";
import { Interruption } from "./interruption.ts";
import { Terminal } from "./terminal.ts";
import { loadPlugins } from "./plugins/load-plugins.ts";
import { withNbd } from "./plugins/nbd-storages.ts";
import { plugin } from "./verbs/common-options.ts";
import type { Verb, VerbContext } from "./verbs/verb.ts";
import { verbs } from "./verbs/verbs.ts";
import { version } from "./version.ts";

/**
 * The whole program.
 * @param argv - as `process.argv`
 * @returns the exit code
 */
export async function main(argv: readonly string[]): Promise<number> {
  const terminal = new Terminal(argv[1]);
  const interruption = new Interruption();
  try {
    const code = await dispatch(argv.slice(2), terminal, interruption.signal);
    await terminal.flush();
    return code;
  } catch (error) {
    if (interruption.exitCode !== undefined) {
      return interruption.exitCode;
    }
    await terminal.flush();
    return reportError(error, terminal);
  } finally {
    interruption.stop();
  }
}

async function dispatch(args: readonly string[], terminal: Terminal, signal: AbortSignal): Promise<number> {
  if (terminal.program === "qemu-io" && !args.some((arg) => ["-V", "--version"].includes(arg))) {
    return runVerb(findVerb("io"), args, [], { terminal, signal });
  }
  const [plugins, [first, ...rest]] = takePlugins(args);
  switch (first) {
    case undefined:
      throw new UsageError("Not enough arguments");
    case "-h":
    case "--help":
    case "help":
      await terminal.print(helpFor(rest[0], terminal.program));
      return 0;
    case "-V":
    case "--version":
      await terminal.print(`${terminal.program} version ${version}\n`);
      return 0;
    default:
      return runVerb(findVerb(first), rest, plugins, { terminal, signal });
  }
}

/** What stands before the verb: the modules that `--plugin` names, and the rest. */
function takePlugins(args: readonly string[]): readonly [readonly string[], readonly string[]] {
  const name = `--${plugin.long ?? ""}`;
  const found: string[] = [];
  const rest = [...args];
  while (rest[0] === name || rest[0]?.startsWith(`${name}=`) === true) {
    const [word = "", next] = rest.splice(0, rest[0] === name ? 2 : 1);
    const value = word === name ? next : word.slice(name.length + 1);
    if (value === undefined) {
      throw new UsageError(`missing argument for option '${name}'`);
    }
    found.push(value);
  }
  return [found, rest];
}

function helpFor(name: string | undefined, program: string): string {
  return name === undefined || name.startsWith("-")
    ? programHelp(program, version, verbs)
    : verbHelp(program, findVerb(name));
}

function findVerb(name: string): Verb {
  const verb = verbs.find((each) => each.name === name);
  if (verb === undefined) {
    throw new UsageError(name.startsWith("-") ? `unrecognized option '${name}'` : `Command not found: ${name}`);
  }
  return verb;
}

async function runVerb(
  verb: Verb,
  args: readonly string[],
  pluginsBefore: readonly string[],
  { terminal, signal }: Omit<VerbContext, "args">,
): Promise<number> {
  const options = [...verb.options, plugin];
  const parsed = (verb.lastIsOperand === true ? parseBeforeLast : parseArguments)(args, options);
  if (parsed.has("help")) {
    await terminal.print(verbHelp(terminal.program, verb));
    return 0;
  }
  const named = [...pluginsBefore, ...parsed.values("plugin")];
  const plugins = named.length === 0 ? parsed.plugins : await loadPlugins(named);
  const withPlugins = parsed.withPlugins(withNbd(plugins));
  const { run } = await verb.load();
  return run({ args: withPlugins, terminal, signal });
}
