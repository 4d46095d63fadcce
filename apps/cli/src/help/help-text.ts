import type { OptionDefinition } from "../arguments/option-definition.ts";
import { versionText } from "../called-as.ts";
import { plugin, trace } from "../verbs/common-options.ts";
import type { Verb } from "../verbs/verb.ts";
import { commandOf } from "./command-of.ts";
import { examplesOf } from "./examples.ts";
import { exitCodesOf } from "./exit-codes.ts";
import { spelling } from "./spelling.ts";

/** Column where explanations begin. */
const indent = 30;
const supportedFormats = "Supported formats: qcow2 raw\n";

/** What `--help` prints: what the program is, and every verb's usage. */
export function programHelp(program: string, verbs: readonly Verb[]): string {
  const summaries = verbs.map(({ name, summary }) => `  ${name.padEnd(10)} ${summary}\n`);
  const usages = verbs.map((verb) => `  ${[verb.name, ...synopsis(verb)].join(" ")}\n`);
  const standard = [
    { short: "h", long: "help", help: "print this help, or that of a command" },
    { short: "V", long: "version", help: "print the version" },
    trace,
    plugin,
  ];
  return (
    versionText(program) +
    `usage: ${program} [standard options] command [command options]\n` +
    "Reads, makes and changes images of virtual machines' disks. Works like qemu-img, without it.\n\n" +
    `Standard options:\n${optionsHelp(standard)}\n` +
    `Commands:\n${summaries.join("")}\n` +
    `Command syntax:\n${usages.join("")}\n` +
    "Sizes are bytes; k, M, G, T, P and E stand for powers of 1024.\n" +
    `'${program} help COMMAND' explains a command's options, and has examples.\n\n` +
    supportedFormats +
    "Modules named by --plugin bring others, and other places for images than files.\n"
  );
}

/** What `--help` prints after a verb. */
export function verbHelp(program: string, verb: Verb): string {
  const codes = exitCodesOf(verb).map(([code, meaning]) => `  ${String(code).padEnd(4)}${meaning}\n`);
  const examples = examplesOf(verb).map(
    ({ command, about }) => `  ${commandOf(program, command)}\n${" ".repeat(6)}${about}\n`,
  );
  return (
    `usage: ${commandOf(program, [verb.name, ...synopsis(verb)].join(" "))}\n\n` +
    `${capitalized(verb.summary)}.\n\n` +
    `Options:\n${optionsHelp([...verb.options, plugin])}` +
    (examples.length === 0 ? "" : `\nExamples:\n${examples.join("")}`) +
    `\nExit codes:\n${codes.join("")}` +
    `\n${supportedFormats}`
  );
}

/** The words behind the verb, in which scripts look for options. */
function synopsis({ options, operands }: Verb): string[] {
  const parts = options
    .filter(({ hidden, long }) => hidden !== true && long !== "help")
    .map((option) => `[${spelling(option, " ", "=", false)}]`);
  return operands === "" ? parts : [...parts, operands];
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

function capitalized(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
