import { describeImgError } from "@img/cli";
import { isImgError } from "@img/format-core";
import type { NbdObserver, NbdPeer } from "@img/nbd";
import { commandName } from "./command-name.ts";
import type { Log, LogFields } from "./log.ts";

/** Tells a log what a server does. */
export function logObserver(log: Log): NbdObserver {
  let isCrowded = false;
  return {
    connected: (client) => {
      log.write("info", "connected", { client: client.id, from: client.label });
    },
    refused: (label, error) => {
      // a crowd is told once: it may come as often as it likes
      log.write(isCrowded ? "info" : "error", "refused", { from: label, error: reasonOf(error) });
      isCrowded = true;
    },
    ready: (client) => {
      log.write("info", "ready", who(client));
    },
    failed: (client, error) => {
      log.write("error", "failed", { ...who(client), error: reasonOf(error) });
    },
    disconnected: (client, reason) => {
      isCrowded = false;
      log.write("info", "disconnected", {
        ...who(client),
        reason: reason === undefined ? undefined : reasonOf(reason),
      });
    },
    ...(log.tells("debug")
      ? {
          answered: (client, { type, offset, length, error }) => {
            log.write("debug", "answered", { ...who(client), command: commandName(type), offset, length, error });
          },
        }
      : {}),
  };
}

function who({ id, label, exportName, identity, secure }: NbdPeer): LogFields {
  return { client: id, from: label, export: exportName, tls: secure ? true : undefined, identity };
}

function reasonOf(error: unknown): string {
  return isImgError(error) ? describeImgError(error) : error instanceof Error ? error.message : String(error);
}
