import type { ImageSpec } from "@img/operations/node";
import type { BlockdevSpec } from "./blockdev-spec.ts";

/** What is to be opened, without what only a command needs to know. */
export function imageSpecOf(described: BlockdevSpec): ImageSpec {
  const {
    bare: _bare,
    shown: _shown,
    filter: _filter,
    unwritable: _unwritable,
    backingUnwritable: _backingUnwritable,
    ...spec
  } = described;
  return spec;
}
