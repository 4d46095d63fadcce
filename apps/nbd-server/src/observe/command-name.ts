import { commands } from "@img/nbd";

const names: ReadonlyMap<number, string> = new Map(Object.entries(commands).map(([name, type]) => [type, name]));

/** What a command is called in logs and figures. Numbers that mean nothing share a name: clients choose them. */
export function commandName(type: number): string {
  return names.get(type) ?? "unknown";
}
