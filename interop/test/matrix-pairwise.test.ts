import { pairwise } from "../src/covering-array.ts";
import { compatible, dimensions } from "../src/image-spec.ts";
import { randomFor } from "../src/run-seed.ts";
import { defineMatrix } from "./support/define-matrix.ts";

const specs = pairwise(dimensions, compatible, randomFor("pairwise"));

defineMatrix("every pair of properties", specs, 8 * specs.length);
