import type { Io, Storage } from "@img/format-core";
import type { Unwritable } from "../file-node.ts";

/** A node of QEMU's block graph, which gives bytes. */
export interface BlockNode extends Unwritable {
  /** What the node is called where a location is asked for. */
  readonly name: string;
  open(options: { readonly writable: boolean }): Io<Storage>;
}
