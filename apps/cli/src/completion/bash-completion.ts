import type { OptionDefinition } from "../arguments/option-definition.ts";
import { plugin, trace } from "../verbs/common-options.ts";
import type { Verb } from "../verbs/verb.ts";
import { shellWord } from "./shell-word.ts";
import { operandChoices, valueChoices, type ValueChoices } from "./value-choices.ts";

/** A program for bash (3.2 and later, nothing else needed) that completes the words of `program`. */
export function bashCompletion(program: string, verbs: readonly Verb[]): string {
  const name = `_${program.replaceAll(/\W/g, "_")}`;
  const names = verbs.map((verb) => verb.name);
  return `# bash completion for ${program}
${name}() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev="" verb="" skip="" i word
  COMPREPLY=()
  [ "$COMP_CWORD" -gt 0 ] && prev=\${COMP_WORDS[COMP_CWORD-1]}
  # bash takes --output=json for three words
  if [ "$cur" = "=" ]; then
    cur=""
  elif [ "$prev" = "=" ] && [ "$COMP_CWORD" -gt 1 ]; then
    prev=\${COMP_WORDS[COMP_CWORD-2]}
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    if [ -n "$skip" ]; then
      [ "$word" = "=" ] || skip=""
      continue
    fi
    case $word in
      --plugin | --trace | -T) skip=1 ;;
      -*) ;;
      *) verb=$word; break ;;
    esac
  done
  case $verb:$prev in
${["", ...names].flatMap((verb) => valueCases(verb, verbs)).join("")}  esac
  case $verb:$cur in
    :-*) ${reply(spellings([plugin, trace, ...standard]))} ;;
${verbs.map((verb) => `    ${verb.name}:-*) ${reply(spellings([...verb.options, plugin]))} ;;\n`).join("")}    :*) ${reply(names)} ;;
${verbs.flatMap((verb) => operandCase(verb, names)).join("")}    *) ${offer("files")} ;;
  esac
}
complete -o bashdefault -o nospace -F ${name} ${shellWord(program)}
`;
}

const standard: readonly OptionDefinition[] = [
  { long: "help", short: "h", help: "" },
  { long: "version", short: "V", help: "" },
];

function valueCases(verb: string, verbs: readonly Verb[]): string[] {
  const options = verb === "" ? [plugin, trace] : [...(verbs.find(({ name }) => name === verb)?.options ?? []), plugin];
  return options
    .filter(({ value, optionalValue }) => value !== undefined && optionalValue !== true)
    .map((option) => {
      const patterns = spellings([option]).map((each) => `${verb}:${each.trimEnd()}`);
      return `    ${patterns.join(" | ")}) ${offer(valueChoices(option))}; return ;;\n`;
    });
}

function operandCase(verb: Verb, names: readonly string[]): string[] {
  const choices = operandChoices(verb.operands, names);
  return choices === "files" ? [] : [`    ${verb.name}:*) ${offer(choices)} ;;\n`];
}

/** All names of options, a space behind each that stands alone. */
function spellings(options: readonly OptionDefinition[]): string[] {
  return options
    .filter(({ hidden }) => hidden !== true)
    .flatMap(({ long, short }) => [
      ...(short === undefined ? [] : [`-${short}`]),
      ...(long === undefined ? [] : [`--${long}`]),
    ]);
}

function offer(choices: ValueChoices): string {
  if (choices === "files") {
    return `local IFS=$'\\n'; compopt -o filenames +o nospace 2> /dev/null; COMPREPLY=( $(compgen -f -- "$cur") )`;
  }
  return choices === "none" ? ":" : reply(choices);
}

function reply(words: readonly string[]): string {
  const ended = words.some((word) => word.endsWith("=")) ? "" : "compopt +o nospace 2> /dev/null; ";
  return `${ended}COMPREPLY=( $(compgen -W ${shellWord(words.join(" "))} -- "$cur") )`;
}
