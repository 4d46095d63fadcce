import { resolve } from "node:path";
import { CommandError, type ParsedArguments } from "@img/cli";
import type { NbdListenTarget } from "@img/nbd/node";
import { count } from "../arguments/choice.ts";

const defaultHost = "localhost";
const defaultPort = 10809;

/**
 * Where the command line wants the server to listen.
 * @param inherited - descriptors of sockets that listen already, given by whoever started the process
 * @throws CommandError for options that contradict each other
 */
export function listenTargets(args: ParsedArguments, inherited: readonly number[]): readonly NbdListenTarget[] {
  if (inherited.length > 0) {
    const given = ["socket", "port", "bind"].find((option) => args.has(option));
    if (given !== undefined) {
      throw new CommandError(`--${given} can't be given when using socket activation`);
    }
    return inherited.map((fd) => ({ kind: "fd", fd }));
  }
  const path = args.value("socket");
  const mode = modeOf(args);
  if (path === undefined) {
    return [{ kind: "tcp", host: args.value("bind") ?? defaultHost, port: count(args, "port", defaultPort, 0, 65535) }];
  }
  if (args.has("port") || args.has("bind")) {
    throw new CommandError("--socket can't be combined with --port and --bind");
  }
  // the path is a part of the URIs, which are used elsewhere
  return [{ kind: "unix", path: resolve(path), ...(mode === undefined ? {} : { mode }) }];
}

function modeOf(args: ParsedArguments): number | undefined {
  const text = args.value("socket-mode");
  if (text === undefined) {
    return undefined;
  }
  if (!/^0?[0-7]{3}$/.test(text)) {
    throw new CommandError(`Invalid socket-mode '${text}': expected three octal digits`);
  }
  return parseInt(text, 8);
}
