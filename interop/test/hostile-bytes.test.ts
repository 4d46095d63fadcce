import { mutateBytes } from "../src/mutate.ts";
import { runScale } from "../src/run-seed.ts";
import { defineHostile } from "./support/define-hostile.ts";

defineHostile("mutated bytes", Math.ceil(600 * runScale), (base, random) => mutateBytes(base.bytes, random));
