import { CommandError, describeImgError, type ParsedArguments, type Terminal } from "@img/cli";
import { isImgError } from "@img/format-core";
import type { ExportEntry, NbdUri } from "@img/nbd";
import { listNbd, openNbd } from "@img/nbd/node";
import { resolve } from "node:path";
import { count } from "../arguments/choice.ts";

/** Options that say what is served, which has no meaning for somebody else's server. */
const servingOptions = [
  "format",
  "read-only",
  "snapshot",
  "load-snapshot",
  "export",
  "export-name",
  "description",
  "fork",
];

/**
 * Prints what another server offers, nearly as `qemu-nbd --list` does.
 * @returns the exit code
 * @throws CommandError for options that don't go with it; ImgError when the server can't be asked
 */
export async function list(args: ParsedArguments, terminal: Terminal): Promise<number> {
  const given = servingOptions.find((option) => args.has(option));
  if (given !== undefined) {
    throw new CommandError("List mode is incompatible with per-device settings", { hint: `--${given} is one` });
  }
  const server = serverOf(args);
  const entries = await listNbd(server);
  await terminal.print(`exports available: ${entries.length}\n`);
  for (const entry of entries) {
    await terminal.print(` export: '${printable(entry.name)}'\n${await describe(server, entry)}`);
  }
  return 0;
}

async function describe(server: NbdUri, { name, description }: ExportEntry): Promise<string> {
  const lines = description === "" ? [] : [`description: ${printable(description)}`];
  try {
    await using storage = await openNbd({ ...server, exportName: name }, { connections: 1 });
    const { blockSizes, contexts } = storage.facts;
    lines.push(
      `size:  ${storage.size}`,
      `min block: ${blockSizes.minimum}`,
      `opt block: ${blockSizes.preferred}`,
      `max block: ${blockSizes.maximum}`,
      `available meta contexts: ${contexts.length}`,
      ...contexts.map((context) => ` ${printable(context)}`),
    );
  } catch (error) {
    if (!isImgError(error)) {
      throw error;
    }
    lines.push(`error: ${describeImgError(error)}`);
  }
  return lines.map((line) => `  ${line}\n`).join("");
}

function serverOf(args: ParsedArguments): NbdUri {
  if (args.has("tls-creds") || args.has("object")) {
    throw new CommandError("--list takes credentials from --tls-certificates or --tls-psk");
  }
  const path = args.value("socket");
  const certificates = args.value("tls-certificates");
  const pskFile = args.value("tls-psk");
  const tls = {
    ...(certificates === undefined ? {} : { certificates }),
    ...(pskFile === undefined ? {} : { pskFile }),
  };
  return {
    transport:
      path === undefined
        ? { kind: "tcp", host: args.value("bind") ?? "localhost", port: count(args, "port", 10809, 1, 65535) }
        : { kind: "unix", path: resolve(path) },
    exportName: "",
    ...(Object.keys(tls).length === 0 ? {} : { tls }),
  };
}

/** Names come from strangers: what a terminal would act upon is shown instead. */
function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}]/gu, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
}
