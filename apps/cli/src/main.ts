import { takeGlobalOptions } from "./arguments/global-options.ts";
import { parseArguments, parseBeforeLast } from "./arguments/parse-arguments.ts";
import { UsageError } from "./arguments/usage-error.ts";
import { versionText } from "./called-as.ts";
import { InternalErrors } from "./errors/internal-errors.ts";
import { reportError } from "./errors/report-error.ts";
import { Interruption } from "./interruption.ts";
import { Terminal } from "./terminal.ts";
import { loadPlugins } from "./plugins/load-plugins.ts";
import { withNbd } from "./plugins/nbd-storages.ts";
import { prepareThread } from "./start/prepare-thread.ts";
import { checkObjects } from "./values/check-objects.ts";
import { checkTrace } from "./values/check-trace.ts";
import { plugin } from "./verbs/common-options.ts";
import { findVerb } from "./verbs/find-verb.ts";
import type { Verb, VerbContext } from "./verbs/verb.ts";

/**
 * The whole program.
 * @param argv - as `process.argv`
 * @returns the exit code
 */
export async function main(argv: readonly string[]): Promise<number> {
  const terminal = new Terminal(argv[1]);
  const internalErrors = new InternalErrors(terminal);
  const interruption = new Interruption();
  // a question for the progress, which not every command answers; without any listener, Node would open its debugger to everybody on this machine
  process.on("SIGUSR1", () => undefined);
  try {
    const code = await dispatch(argv.slice(2), terminal, interruption.signal);
    await terminal.flush();
    return code;
  } catch (error) {
    const { exitCode } = interruption;
    if (exitCode === undefined) {
      await terminal.flushAfterFailure();
      return reportError(error, terminal);
    }
    if (!interruption.explains(error)) {
      reportError(error, terminal);
    }
    return exitCode;
  } finally {
    internalErrors.settled();
    interruption.stop();
  }
}

async function dispatch(args: readonly string[], terminal: Terminal, signal: AbortSignal): Promise<number> {
  if (terminal.program === "qemu-io" && !args.some((arg) => ["-V", "--version"].includes(arg))) {
    return runVerb(findVerb("io"), args, [], { terminal, signal });
  }
  const { plugins, traces, rest } = takeGlobalOptions(args);
  checkTrace(traces, terminal);
  const [first, ...words] = rest;
  switch (first) {
    case undefined:
      throw new UsageError("Not enough arguments");
    case "-h":
    case "--help":
      return help(words[0]?.startsWith("-") === true ? [] : words.slice(0, 1), { terminal, signal });
    case "-V":
    case "--version":
      await terminal.print(versionText(terminal.program));
      return 0;
    default:
      return runVerb(findVerb(first), words, plugins, { terminal, signal });
  }
}

type Surroundings = Omit<VerbContext, "args">;

async function help(words: readonly string[], surroundings: Surroundings): Promise<number> {
  return runVerb(findVerb("help"), words, [], surroundings);
}

async function runVerb(
  verb: Verb,
  args: readonly string[],
  pluginsBefore: readonly string[],
  surroundings: Surroundings,
): Promise<number> {
  const options = [...verb.options, plugin];
  const parsed = (verb.lastIsOperand === true ? parseBeforeLast : parseArguments)(args, options);
  if (parsed.has("help")) {
    return help([verb.name], surroundings);
  }
  surroundings.terminal.failureCode = verb.failureCode ?? 1;
  checkTrace(parsed.values("trace"), surroundings.terminal);
  checkObjects(parsed.values("object"));
  const named = [...pluginsBefore, ...parsed.values("plugin")];
  const plugins = named.length === 0 ? parsed.plugins : await loadPlugins(named);
  const withPlugins = parsed.withPlugins(withNbd(plugins));
  const prepared = prepareThread(verb.readByThreads?.(withPlugins) ?? []);
  const { run } = await verb.load(withPlugins);
  return run({ args: withPlugins, ...surroundings, ...(prepared === undefined ? {} : { prepared }) });
}
