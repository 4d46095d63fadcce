import type { NewSize } from "@img/operations";
import { CommandError } from "../errors/command-error.ts";
import { parseSize } from "./parse-size.ts";

const sizePattern = /^([+-]?)(.*)$/s;

/**
 * The size that `resize` is to give an image: `10G`, `+1G`, `-512M`.
 * @returns numbers may be larger than what can be handled exactly; see {@link isTooLarge}
 * @throws CommandError in qemu-img's words for what isn't a size below 2^64
 */
export function parseNewSize(text: string): NewSize {
  const [, sign = "", digits = ""] = sizePattern.exec(text) ?? [];
  const size = parseSize(digits, 2 ** 64);
  if (size === undefined) {
    throw new CommandError("Parameter 'size' expects a non-negative number below 2^64", {
      hint: "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\nand exabytes, respectively.",
    });
  }
  if (size === "range") {
    throw new CommandError(`Value '${digits}' is out of range for parameter 'size'`);
  }
  switch (sign) {
    case "+":
      return { change: size };
    case "-":
      return { change: size === 0 ? 0 : -size };
    default:
      return { size };
  }
}
