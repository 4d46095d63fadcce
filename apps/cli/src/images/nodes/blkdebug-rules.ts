import { constants } from "node:os";
import type { DebugEvent, DebugRequest, DebugRulesOptions, ErrorRule, StateRule } from "@img/operations";
import { CommandError } from "../../errors/command-error.ts";
import type { OptionValue } from "../blockdev-options.ts";
import { BlockdevReader } from "../blockdev-reader.ts";
import { blkdebugEvent } from "./blkdebug-events.ts";

/** One rule, as options or a section of a configuration file say it. */
export interface BlkdebugSection {
  readonly kind: "inject-error" | "set-state";
  readonly options: ReadonlyMap<string, OptionValue>;
}

const requests: readonly DebugRequest[] = ["read", "write", "write-zeroes", "discard", "flush", "block-status"];

/** @throws CommandError in QEMU's words, and for events that aren't supported */
export function blkdebugRules(sections: readonly BlkdebugSection[]): DebugRulesOptions {
  const errors: ErrorRule[] = [];
  const states: StateRule[] = [];
  for (const { kind, options } of sections) {
    const reader = new BlockdevReader(options);
    const event = takeEvent(reader);
    const inState = takeNumber(reader, "state") ?? 0;
    const state = inState === 0 ? {} : { state: inState };
    if (kind === "set-state") {
      states.push({ event, ...state, newState: takeNumber(reader, "new_state") ?? 1 });
    } else {
      errors.push({ event, ...state, ...takeError(reader) });
    }
    const [left] = reader.left;
    if (left !== undefined) {
      throw new CommandError(`[${kind}] section doesn't support the option '${left}'`);
    }
  }
  return { errors, states };
}

function takeEvent(reader: BlockdevReader): DebugEvent {
  const name = reader.string("event");
  if (name === undefined) {
    throw new CommandError("Missing event name for rule");
  }
  const event = blkdebugEvent(name);
  if (event === undefined) {
    throw new CommandError(`invalid parameter value: ${name}`);
  }
  if (event === "unsupported") {
    throw new CommandError(`blkdebug's event '${name}' isn't supported [ERR_IMG_UNSUPPORTED]`);
  }
  return event;
}

function takeError(reader: BlockdevReader): Omit<ErrorRule, "event" | "state"> {
  const errno = takeNumber(reader, "errno") ?? constants.errno.EIO;
  const sector = takeNumber(reader, "sector") ?? -1;
  const once = reader.boolean("once") ?? false;
  // whether an error comes at once or with the next turn of the event loop makes no difference
  reader.boolean("immediately");
  const name = reader.string("iotype");
  const request = requests.find((each) => each === name);
  if (name !== undefined && request === undefined) {
    throw new CommandError(`invalid parameter value: ${name}`);
  }
  return {
    error: errno === 0 ? null : errnoName(errno),
    once,
    ...(sector < 0 ? {} : { offset: sector * 512 }),
    ...(request === undefined ? {} : { request }),
  };
}

function errnoName(errno: number): string {
  const [name] = Object.entries(constants.errno).find(([, number]) => number === errno) ?? [];
  if (name === undefined) {
    throw new CommandError(`errno ${String(errno)} isn't known here [ERR_IMG_UNSUPPORTED]`);
  }
  return name;
}

function takeNumber(reader: BlockdevReader, key: string): number | undefined {
  const value = reader.take(key);
  const number = typeof value === "string" && /^-?[0-9]+$/.test(value) ? Number(value) : value;
  if (number !== undefined && (typeof number !== "number" || !Number.isSafeInteger(number))) {
    throw new CommandError(`Parameter '${key}' expects a number`);
  }
  return number;
}
