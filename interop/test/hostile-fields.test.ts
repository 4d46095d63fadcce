import { mutateFields } from "../src/mutate.ts";
import { fieldsOf, type Field } from "../src/qcow2-fields.ts";
import { runScale } from "../src/run-seed.ts";
import { defineHostile } from "./support/define-hostile.ts";

const fields = new WeakMap<Uint8Array, readonly Field[]>();

defineHostile("mutated fields", Math.ceil(800 * runScale), (base, random) => {
  let known = fields.get(base.bytes);
  if (known === undefined) {
    known = fieldsOf(base.bytes);
    fields.set(base.bytes, known);
  }
  return mutateFields(base.bytes, known, random);
});
