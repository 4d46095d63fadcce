import { decimal } from "./decimal.ts";
import type { Progress } from "@img/operations";

/** `    (45.34/100%)`, as qemu-img has it, except that what isn't complete is never rounded to 100. */
export function percentText({ done, total }: Progress): string {
  const percent = done >= total ? 100 : Math.min((done / total) * 100, 99.99);
  return `    (${decimal(percent, 2)}/100%)`;
}
