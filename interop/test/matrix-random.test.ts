import { randomSpecs } from "../src/random-specs.ts";
import { randomFor, runScale } from "../src/run-seed.ts";
import { defineMatrix } from "./support/define-matrix.ts";

const specs = randomSpecs(Math.ceil(140 * runScale), randomFor("random combinations"));

defineMatrix("random combinations", specs, 8 * specs.length);
