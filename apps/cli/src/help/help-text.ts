import type { OptionDefinition } from "../arguments/option-definition.ts";
import { plugin } from "../verbs/common-options.ts";
import type { Verb } from "../verbs/verb.ts";

/** Column where explanations begin. */
const indent = 30;

/** What `--help` prints: what the program is, and every verb's usage. */
export function programHelp(program: string, version: string, verbs: readonly Verb[]): string {
  const summaries = verbs.map(({ name, summary }) => `  ${name.padEnd(10)} ${summary}\n`);
  const usages = verbs.map((verb) => `  ${usage(verb)}\n`);
  return (
    `${program} version ${version}\n` +
    `usage: ${program} [--plugin module] command [command options]\n` +
    "Reads and converts virtual machine disk images. Works like qemu-img, without it.\n\n" +
    `Commands:\n${summaries.join("")}  ${"help".padEnd(10)} print this help, or that of a command\n\n` +
    `Command syntax:\n${usages.join("")}\n` +
    "Sizes are bytes; k, M, G, T, P and E stand for powers of 1024.\n" +
    `'${program} help COMMAND' explains a command's options.\n\n` +
    "Supported formats: qcow2 raw\n" +
    "Modules named by --plugin bring others, and other places for images than files.\n"
  );
}

/** What `--help` prints after a verb. */
export function verbHelp(program: string, verb: Verb): string {
  const codes = (verb.exitCodes ?? []).map(([code, meaning]) => `  ${String(code).padEnd(4)}${meaning}\n`);
  return (
    `usage: ${program} ${usage(verb)}\n\n` +
    `${capitalized(verb.summary)}.\n\n` +
    `Options:\n${optionsHelp([...verb.options, plugin])}` +
    (codes.length === 0 ? "" : `\nExit codes:\n  0   success\n${codes.join("")}`)
  );
}

/** One line in which scripts look for options. */
function usage({ name, options, operands }: Verb): string {
  const parts = options
    .filter(({ hidden, long }) => hidden !== true && long !== "help")
    .map((option) => `[${spelling(option, " ", "=", false)}]`);
  return [name, ...parts, operands].join(" ");
}

/** A line or two for each option that isn't hidden. */
export function optionsHelp(options: readonly OptionDefinition[]): string {
  return options
    .filter(({ hidden }) => hidden !== true)
    .map(optionHelp)
    .join("");
}

function optionHelp(option: OptionDefinition): string {
  const left = `  ${spelling(option, " ", " ", true)}`;
  const head = left.length < indent - 1 ? left.padEnd(indent) : `${left}\n${" ".repeat(indent)}`;
  return `${head}${option.help}\n`;
}

/** `-f fmt`, `--output=ofmt`; with `both`, all names that an option has. */
function spelling(
  { short, long, value }: OptionDefinition,
  afterShort: string,
  afterLong: string,
  both: boolean,
): string {
  const suffix = (separator: string): string => (value === undefined ? "" : `${separator}${value}`);
  if (short !== undefined && (long === undefined || !both)) {
    return `-${short}${suffix(afterShort)}`;
  }
  return `${short === undefined ? "" : `-${short}, `}--${long ?? ""}${suffix(afterLong)}`;
}

function capitalized(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
