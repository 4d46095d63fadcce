import type { OptionDefinition } from "../arguments/option-definition.ts";
import { plugin, trace } from "../verbs/common-options.ts";
import type { Verb } from "../verbs/verb.ts";
import { operandChoices, valueChoices, type ValueChoices } from "./value-choices.ts";

/** A program for zsh that completes the words of `program`; works from a directory in `fpath`, and by `source`. */
export function zshCompletion(program: string, verbs: readonly Verb[]): string {
  const name = `_${program.replaceAll(/\W/g, "_")}`;
  const names = verbs.map((verb) => verb.name);
  const described = verbs.map((verb) => `    ${quoted(`${verb.name}:${verb.summary}`)}\n`);
  return `#compdef ${program}
${name}() {
  local context state state_descr line ret=1
  typeset -A opt_args
  local -a commands
  commands=(
${described.join("")}  )
  _arguments -C ${[...[plugin, trace].map(optionSpecs), standardSpecs].flat().map(quoted).join(" ")} \\
    '1:command:->command' '*::argument:->argument' && ret=0
  case $state in
    command) _describe command commands && ret=0 ;;
    argument)
      case $line[1] in
${verbs.map((verb) => verbCase(verb, names)).join("")}      esac ;;
  esac
  return ret
}
if [ "$funcstack[1]" = "${name}" ]; then
  ${name} "$@"
else
  compdef ${name} ${program}
fi
`;
}

const standardSpecs = [
  "(- *)-h[print help]",
  "(- *)--help[print help]",
  "(- *)-V[print the version]",
  "(- *)--version[print the version]",
];

function verbCase(verb: Verb, names: readonly string[]): string {
  const specs = [...verb.options, plugin].filter(({ hidden }) => hidden !== true).flatMap(optionSpecs);
  const operands = `*:${escaped(verb.operands)}:${action(operandChoices(verb.operands, names))}`;
  const lines = [...specs, operands].map((spec) => `          ${quoted(spec)}`);
  return `        ${verb.name})\n          _arguments -s -S \\\n${lines.join(" \\\n")} && ret=0 ;;\n`;
}

/** One specification for each name of an option; the names exclude each other, unless it can be repeated. */
function optionSpecs(option: OptionDefinition): string[] {
  const { long, short, value, optionalValue } = option;
  const names = [...(short === undefined ? [] : [`-${short}`]), ...(long === undefined ? [] : [`--${long}`])];
  const about = `[${escaped(option.help)}]`;
  if (value === undefined) {
    return names.map((name) => `(${names.join(" ")})${name}${about}`);
  }
  const message = `${optionalValue === true ? "::" : ":"}${escaped(value)}:${action(valueChoices(option))}`;
  // "-" after a name: the value follows without a space only; "=": with it or behind a sign; "+": right behind or in the next word
  const mark = (name: string): string => {
    if (optionalValue === true) {
      return "=-";
    }
    return name.startsWith("--") ? "=" : "+";
  };
  return names.map((name) => `*${name}${mark(name)}${about}${message}`);
}

function action(choices: ValueChoices): string {
  if (choices === "files") {
    return "_files";
  }
  if (choices === "none") {
    return " ";
  }
  return choices.some((word) => word.endsWith("="))
    ? `_values -s , option ${choices.map((word) => word.slice(0, -1)).join(" ")}`
    : `(${choices.join(" ")})`;
}

/** Inside a specification these three have a meaning. */
function escaped(text: string): string {
  return text.replaceAll(/[\\:[\]]/g, "\\$&");
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
