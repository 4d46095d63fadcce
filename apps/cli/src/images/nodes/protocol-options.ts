import { CommandError } from "../../errors/command-error.ts";
import type { BlockdevOptions } from "../blockdev-options.ts";

/**
 * The options that a name stands for whose protocol is that of a filter: `blkdebug:CONFIG:IMAGE`, `null-co://`.
 * @returns `undefined` for other names
 * @throws CommandError in QEMU's words
 */
export function protocolOptions(name: string): BlockdevOptions | undefined {
  const [, driver = "", rest = ""] = /^(blkdebug|null-co|null-aio):(.*)$/s.exec(name) ?? [];
  switch (driver) {
    case "blkdebug": {
      const colon = rest.indexOf(":");
      if (colon < 0) {
        throw new CommandError("blkdebug requires both config file and image path");
      }
      const config: [string, string][] = colon === 0 ? [] : [["config", rest.slice(0, colon)]];
      return new Map([["driver", driver], ...config, ["x-image", rest.slice(colon + 1)]]);
    }
    case "null-co":
    case "null-aio":
      if (rest !== "//") {
        throw new CommandError(`The only allowed filename for this driver is '${driver}://'`);
      }
      return new Map([["driver", driver]]);
    default:
      return undefined;
  }
}
