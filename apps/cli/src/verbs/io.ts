import { createInterface } from "node:readline";
import type { ParsedArguments } from "../arguments/parsed-arguments.ts";
import { UsageError } from "../arguments/usage-error.ts";
import { nodeOptions } from "../images/nodes/node-options.ts";
import { ioCommands } from "../io/io-commands.ts";
import { IoSession, type IoOpenRequest } from "../io/io-session.ts";
import { openIoImage, type IoImage } from "../io/open-io-image.ts";
import type { Terminal } from "../terminal.ts";
import type { VerbContext } from "./verb.ts";

/** `img io`. */
export async function run({ args, terminal, signal }: VerbContext): Promise<number> {
  const [name, more] = args.operands;
  if (more !== undefined) {
    throw new UsageError("Expecting at most one image file name");
  }
  // what is wrong with objects is wrong whether or not they are used
  nodeOptions(args);
  const open = (request: IoOpenRequest): Promise<IoImage> =>
    openIoImage(request, { args, signal }, args.value("format"));
  const session = new IoSession(terminal, ioCommands, open, signal);
  if (name !== undefined) {
    await session.open(firstRequest(args, name));
  }
  const commands = args.values("cmd");
  try {
    await (commands.length > 0 ? runAll(session, commands, signal) : runInput(session, terminal, signal));
    await session.flush();
  } catch (error) {
    // what was written before is kept
    await session.close().catch((failure: unknown) => {
      if (signal.aborted) {
        throw failure;
      }
      // what made the session fail is being reported
    });
    throw error;
  }
  await session.close();
  session.throwIfUnsaid();
  return session.failed ? 1 : 0;
}

function firstRequest(args: ParsedArguments, name: string): IoOpenRequest {
  return {
    name,
    options: undefined,
    readOnly: args.has("read-only"),
    snapshot: args.has("snapshot"),
    cache: args.value("cache") ?? (args.has("nocache") ? "none" : undefined),
    discard: args.value("discard"),
    aio: args.value("aio") ?? (args.has("native-aio") ? "native" : undefined),
    forceShare: args.has("force-share"),
    copyOnRead: args.has("copy-on-read"),
  };
}

async function runAll(session: IoSession, commands: readonly string[], signal: AbortSignal): Promise<void> {
  for (const command of commands) {
    signal.throwIfAborted();
    await session.run(command);
    if (session.ended) {
      return;
    }
  }
}

async function runInput(session: IoSession, terminal: Terminal, signal: AbortSignal): Promise<void> {
  const prompt = `${terminal.program}> `;
  const lines = createInterface({ input: process.stdin, signal });
  await session.print(prompt);
  await session.flush();
  for await (const line of lines) {
    signal.throwIfAborted();
    await session.run(line);
    if (session.ended) {
      break;
    }
    await session.print(prompt);
    await session.flush();
  }
  lines.close();
  signal.throwIfAborted();
}
