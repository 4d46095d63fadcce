import { setTimeout as wait } from "node:timers/promises";
import type { IoCommand, IoContext } from "./io-command.ts";
import { IoError } from "./io-error.ts";
import { commandLine } from "./io-session.ts";

/** Commands about the session and its process. */
export const sessionCommands: readonly IoCommand[] = [
  {
    name: "abort",
    words: [0, 0],
    summary: "simulate a program crash using abort(3)",
    withoutImage: true,
    run: async ({ session }: IoContext): Promise<void> => {
      await session.flush();
      // not process.abort(), which writes down where we are
      process.kill(process.pid, "SIGABRT");
    },
  },
  {
    name: "aio_flush",
    words: [0, 0],
    summary: "completes all outstanding aio requests",
    run: ({ session }: IoContext): Promise<void> => session.settle(),
  },
  {
    name: "help",
    alias: "?",
    words: [0, 1],
    usage: "[command]",
    summary: "help for one or all commands",
    withoutImage: true,
    run: async ({ args, session }: IoContext): Promise<void> => {
      const [name] = args.operands;
      if (name === undefined) {
        const lines = session.commands.map((command) => commandLine(command));
        await session.print(`${lines.join("\n")}\n\nUse 'help commandname' for extended help.\n`);
        return;
      }
      const command = session.commands.find((each) => each.name === name || each.alias === name);
      if (command === undefined) {
        throw new IoError(`command ${name} not found`);
      }
      await session.print(`${commandLine(command)}\n${command.help === undefined ? "" : `\n${command.help}\n\n`}`);
    },
  },
  {
    name: "quit",
    alias: "q",
    words: [0, 0],
    summary: "exit the program",
    withoutImage: true,
    run: async ({ session }: IoContext): Promise<void> => {
      session.end();
    },
  },
  {
    name: "sigraise",
    words: [1, 1],
    usage: "signal",
    summary: "raises a signal",
    withoutImage: true,
    run: async ({ args, session }: IoContext): Promise<void> => {
      await session.flush();
      process.kill(process.pid, wholeNumber(args.operands[0] ?? ""));
      // a signal that ends the process arrives with the next turn of the event loop
      await wait(0);
    },
  },
  {
    name: "sleep",
    words: [1, 1],
    summary: "waits for the given value in milliseconds",
    withoutImage: true,
    run: async ({ args, session: { signal } }: IoContext): Promise<void> => {
      await wait(wholeNumber(args.operands[0] ?? ""), undefined, { signal });
    },
  },
];

function wholeNumber(text: string): number {
  if (!/^[0-9]+$/.test(text)) {
    throw new IoError(`${text} is not a valid number`);
  }
  return Number(text);
}
