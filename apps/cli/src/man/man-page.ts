import type { OptionDefinition } from "../arguments/option-definition.ts";
import { commandOf } from "../help/command-of.ts";
import { examplesOf, type Example } from "../help/examples.ts";
import { exitCodesOf } from "../help/exit-codes.ts";
import { plugin, trace } from "../verbs/common-options.ts";
import type { Verb } from "../verbs/verb.ts";
import { roffArgument, roffText } from "./roff.ts";

/** When the words of the pages were last looked through. */
const reviewed = "November 21, 2026";

/** The page of the program, `img(1)`, in the language of mdoc(7). */
export function programPage(program: string, verbs: readonly Verb[]): string {
  const items = verbs.map(({ name, summary }) => `.It Xr ${program}-${name} 1\n${roffText(sentence(summary))}\n`);
  return (
    heading(program, "read, make and change images of virtual machine disks") +
    `.Sh SYNOPSIS\n.Nm\n.Op Fl \\-plugin Ar module\n.Ar command\n.Op Ar options\n` +
    ".Sh DESCRIPTION\n.Nm\ndoes what\n.Xr qemu-img 1\ndoes, with its commands, options, output and exit codes.\n" +
    "Called by the names\n.Nm qemu-img\nand\n.Nm qemu-io ,\nit is these programs.\n" +
    `The commands are:\n.Bl -tag -width snapshot\n${items.join("")}.El\n.Pp\n` +
    `The options before the command are:\n.Bl -tag -width Ds\n${[plugin, trace].map(optionItem).join("")}.El\n.Pp\n` +
    "Sizes are bytes; k, M, G, T, P and E behind a number stand for powers of 1024.\n" +
    `.Sh EXIT STATUS\n.Ex -std\nSome commands have further codes; their pages list them.\n` +
    `.Sh EXAMPLES\nExplain a command:\n.Pp\n.Dl ${program} help convert\n` +
    ".Sh SEE ALSO\n" +
    seeAlso(verbs.map(({ name }) => `${program}-${name}`))
  );
}

/** The page of one verb, for example `img-info(1)`. */
export function verbPage(program: string, verb: Verb): string {
  const shown = [...verb.options, plugin].filter(({ hidden }) => hidden !== true);
  return (
    heading(`${program}-${verb.name}`, verb.summary) +
    `.Sh SYNOPSIS\n.Nm ${roffArgument(commandOf(program, verb.name))}\n${synopsis(verb)}` +
    `.Sh DESCRIPTION\n${roffText(sentence(verb.summary))}\n.Pp\n` +
    `The options are:\n.Bl -tag -width Ds\n${shown.map(optionItem).join("")}.El\n` +
    `.Sh EXIT STATUS\n.Bl -tag -width Ds\n${exitCodes(verb)}.El\n` +
    examplesSection(program, examplesOf(verb)) +
    `.Sh SEE ALSO\n${seeAlso([program])}`
  );
}

function heading(name: string, about: string): string {
  return `.Dd ${reviewed}\n.Dt ${name.toUpperCase()} 1\n.Os\n.Sh NAME\n.Nm ${name}\n.Nd ${roffText(about)}\n`;
}

function synopsis({ options, operands }: Verb): string {
  const parts = options
    .filter(({ hidden, long }) => hidden !== true && long !== "help")
    .map((option) => `.Op ${flags(option, false)}\n`);
  const words = operands === "" ? "" : `.Ar ${roffArgument(operands)}\n`;
  return parts.join("") + words;
}

function optionItem(option: OptionDefinition): string {
  return `.It ${flags(option, true)}\n${roffText(`${option.help}.`)}\n`;
}

/** An option's names, or with `both` unset the first of them, with its value. */
function flags({ short, long, value, optionalValue }: OptionDefinition, both: boolean): string {
  const names = [short, ...(long === undefined || (short !== undefined && !both) ? [] : [`\\-${roffText(long)}`])];
  const spelled = names.filter((name) => name !== undefined).map((name) => `Fl ${name}`);
  if (value === undefined) {
    return spelled.join(" , ");
  }
  const argument = `Ar ${roffArgument(optionalValue === true ? `[=${value}]` : value)}`;
  return `${spelled.join(" , ")} ${optionalValue === true ? "Ns " : ""}${argument}`;
}

function exitCodes(verb: Verb): string {
  return exitCodesOf(verb)
    .map(([code, meaning]) => `.It ${String(code)}\n${roffText(`${meaning}.`)}\n`)
    .join("");
}

function examplesSection(program: string, examples: readonly Example[]): string {
  const shown = examples.map(
    ({ command, about }) => `${roffText(sentence(about))}\n.Pp\n.Dl ${roffArgument(commandOf(program, command))}\n`,
  );
  return shown.length === 0 ? "" : `.Sh EXAMPLES\n${shown.join(".Pp\n")}`;
}

function seeAlso(names: readonly string[]): string {
  return [...names, "qemu-img"]
    .sort()
    .map((name, index, all) => `.Xr ${name} 1${index < all.length - 1 ? " ," : ""}\n`)
    .join("");
}

function sentence(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`;
}
