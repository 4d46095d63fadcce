import type { OptionDefinition } from "../arguments/option-definition.ts";
import { plugin, trace } from "../verbs/common-options.ts";
import type { Verb } from "../verbs/verb.ts";
import { operandChoices, valueChoices } from "./value-choices.ts";

/** A program for fish that completes the words of `program`. */
export function fishCompletion(program: string, verbs: readonly Verb[]): string {
  const names = verbs.map((verb) => verb.name);
  const verbFunction = `__${program.replaceAll(/\W/g, "_")}_verb`;
  const noVerb = quoted(`not ${verbFunction}`);
  const command = `complete -c ${program}`;
  const lines = [
    `# fish completion for ${program}`,
    `function ${verbFunction} -d 'the command on the line, or nothing'
  set -l words (commandline -opc)
  set -e words[1]
  while set -q words[1]
    switch $words[1]
      case --plugin --trace -T
        set -e words[1]
      case '-*'
      case '*'
        echo $words[1]
        return 0
    end
    set -e words[1]
  end
  return 1
end`,
    `${command} -f -n ${noVerb}`,
    ...verbs.map(({ name, summary }) => `${command} -f -n ${noVerb} -a ${name} -d ${quoted(summary)}`),
    ...[plugin, trace, ...standard].map((option) => `${command} -n ${noVerb} ${optionLine(option)}`),
    ...verbs.flatMap((verb) => verbLines(command, quoted(`test "$(${verbFunction})" = ${verb.name}`), verb, names)),
  ];
  return `${lines.join("\n")}\n`;
}

const standard: readonly OptionDefinition[] = [
  { long: "help", short: "h", help: "print help" },
  { long: "version", short: "V", help: "print the version" },
];

function verbLines(
  command: string,
  condition: string,
  { operands, options }: Verb,
  names: readonly string[],
): string[] {
  const choices = operandChoices(operands, names);
  return [
    ...(choices === "files" || choices === "none"
      ? []
      : [`${command} -f -n ${condition} -a ${quoted(choices.join(" "))}`]),
    ...[...options, plugin]
      .filter(({ hidden }) => hidden !== true)
      .map((option) => `${command} -n ${condition} ${optionLine(option)}`),
  ];
}

function optionLine(option: OptionDefinition): string {
  const { short, long, value, optionalValue, help } = option;
  const choices = value === undefined ? "none" : valueChoices(option);
  const words = [
    ...(short === undefined ? [] : [`-s ${short}`]),
    ...(long === undefined ? [] : [`-l ${long}`]),
    ...(value === undefined || optionalValue === true ? [] : [choices === "files" ? "-r -F" : "-x"]),
    ...(typeof choices === "string" ? [] : [`-a ${quoted(choices.join(" "))}`]),
    `-d ${quoted(help)}`,
  ];
  return words.join(" ");
}

/** Between single quotes of fish, a backslash and the quote itself are escaped. */
function quoted(text: string): string {
  return `'${text.replaceAll(/[\\']/g, "\\$&")}'`;
}
