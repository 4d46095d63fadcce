import type { Breakpoints } from "@img/operations";
import { blkdebugEvent } from "../images/nodes/blkdebug-events.ts";
import type { IoCommand, IoContext } from "./io-command.ts";
import { IoError } from "./io-error.ts";

function breakpointsOf({ session }: IoContext, failure: string): Breakpoints {
  const { breakpoints } = session.image ?? {};
  if (breakpoints === undefined) {
    throw new IoError(`${failure}: Operation not supported`);
  }
  return breakpoints;
}

/** Commands about requests that stop at events of a `blkdebug` node. */
export const breakCommands: readonly IoCommand[] = [
  {
    name: "break",
    words: [2, 2],
    usage: "event tag",
    summary: "sets a breakpoint on event and tags the stopped request as tag",
    run: async (context: IoContext): Promise<void> => {
      const [name = "", tag = ""] = context.args.operands;
      const failure = "Could not set breakpoint";
      const breakpoints = breakpointsOf(context, failure);
      const event = blkdebugEvent(name);
      if (event === undefined) {
        throw new IoError(`${failure}: No such file or directory`);
      }
      if (event === "unsupported") {
        throw new IoError(`${failure}: the event '${name}' isn't supported`);
      }
      breakpoints.set(event, tag);
    },
  },
  {
    name: "remove_break",
    words: [1, 1],
    usage: "tag",
    summary: "remove a breakpoint by tag",
    run: async (context: IoContext): Promise<void> => {
      const [tag = ""] = context.args.operands;
      const failure = `Could not remove breakpoint ${tag}`;
      if (!breakpointsOf(context, failure).remove(tag)) {
        throw new IoError(`${failure}: No such file or directory`);
      }
      await context.session.turn();
    },
  },
  {
    name: "resume",
    words: [1, 1],
    usage: "tag",
    summary: "resumes the request tagged as tag",
    run: async (context: IoContext): Promise<void> => {
      const [tag = ""] = context.args.operands;
      const failure = "Could not resume request";
      if (!breakpointsOf(context, failure).resume(tag)) {
        throw new IoError(`${failure}: No such file or directory`);
      }
      await context.session.turn();
    },
  },
  {
    name: "wait_break",
    words: [1, 1],
    usage: "tag",
    summary: "waits for the suspension of a request",
    run: async (context: IoContext): Promise<void> => {
      const [tag = ""] = context.args.operands;
      await context.session.image?.breakpoints?.wait(tag);
    },
  },
];
