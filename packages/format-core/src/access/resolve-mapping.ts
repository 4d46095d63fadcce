import type { Io } from "../io/io.ts";
import type { Mapping, ShallowMapping } from "../mapping/mapping.ts";
import { guestOffset, type GuestOffset } from "../numbers/offsets.ts";
import { checkMapping } from "./check-answer.ts";
import type { FormatAccess } from "./format-access.ts";

/** Where a look-up stands on its way down the chain. */
interface Cursor {
  layer: FormatAccess;
  offset: GuestOffset;
  maxLength: number;
  depth: number;
  /** Whether every layer passed so far lets writes through. */
  writable: boolean;
}

/**
 * Where the byte at `offset` really is: looks down through all layers. `length` is at most `maxLength`. The caller holds the leases.
 */
export function* resolveMapping(access: FormatAccess, offset: number, maxLength: number): Io<Mapping> {
  const cursor = start(access, offset, maxLength);
  for (;;) {
    const { driver } = cursor.layer;
    const shallow =
      driver.peekMapping?.(cursor.offset, cursor.maxLength) ??
      (yield* driver.getMapping(cursor.offset, cursor.maxLength));
    const mapping = descend(cursor, shallow);
    if (mapping !== undefined) {
      return mapping;
    }
  }
}

/** {@link resolveMapping} as a plain call: `undefined` when a table has to be read first. */
export function peekMapping(access: FormatAccess, offset: number, maxLength: number): Mapping | undefined {
  const cursor = start(access, offset, maxLength);
  for (;;) {
    const shallow = cursor.layer.driver.peekMapping?.(cursor.offset, cursor.maxLength);
    if (shallow === undefined) {
      return undefined;
    }
    const mapping = descend(cursor, shallow);
    if (mapping !== undefined) {
      return mapping;
    }
  }
}

function start(access: FormatAccess, offset: number, maxLength: number): Cursor {
  return { layer: access, offset: guestOffset(offset), maxLength, depth: 0, writable: true };
}

/** The mapping, if `shallow` is the end of the way; else moves the cursor one layer down. */
function descend(cursor: Cursor, shallow: ShallowMapping): Mapping | undefined {
  const { depth } = cursor;
  checkMapping(cursor.layer.driver, shallow, cursor.offset);
  switch (shallow.kind) {
    case "raw":
      return {
        kind: "raw",
        storage: shallow.storage,
        offset: shallow.offset,
        length: Math.min(shallow.length, cursor.maxLength),
        writable: shallow.writable && cursor.writable,
        depth,
      };
    case "special":
      return { ...shallow, length: Math.min(shallow.length, cursor.maxLength), layer: cursor.layer, depth };
    case "zero":
      return {
        ...shallow,
        length: Math.min(shallow.length, cursor.maxLength),
        // only the image itself can say that one of its ranges is zero, not one below
        explicit: shallow.explicit && depth === 0,
        depth,
      };
    case "eof":
      // a shorter image below ends here: what is above it goes on with zeroes
      return depth === 0
        ? { kind: "eof", length: 0, depth }
        : { kind: "zero", length: cursor.maxLength, explicit: false, depth };
    case "indirect":
      cursor.maxLength = Math.min(shallow.length, cursor.maxLength);
      cursor.writable &&= shallow.writable;
      cursor.layer = shallow.layer;
      cursor.offset = shallow.offset;
      cursor.depth++;
      return undefined;
  }
}
