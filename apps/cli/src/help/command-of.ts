/** A verb and what follows it as `program` is called for it: `qemu-io` is a name of the verb `io` alone. */
export function commandOf(program: string, words: string): string {
  return `${program} ${program === "qemu-io" ? words.replace(/^io\b ?/, "") : words}`;
}
