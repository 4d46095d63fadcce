import { defineFormat, type Format } from "@img/format-core";
import type { Codecs } from "./codecs/codec.ts";
import { createAndOpen } from "./create/create-and-open.ts";
import { createClosed } from "./create/create-closed.ts";
import type { Qcow2CreateOptions } from "./create/create-options.ts";
import { magic } from "./header/layout.ts";
import { openImage } from "./open/open-image.ts";
import type { Qcow2OpenOptions } from "./open/open-options.ts";
import type { Qcow2Image } from "./qcow2-image.ts";

/** Magic and version. */
const probeLength = 8;

/** What {@link qcow2With} sets for all images. */
export interface Qcow2Defaults {
  /** As in `Qcow2OpenOptions`, for images that are opened without. */
  readonly codecs?: Partial<Codecs>;
}

/** The qcow2 format with other defaults: for a registry, whose images are opened by whoever meets them. */
export function qcow2With(defaults: Qcow2Defaults): Format<Qcow2Image, Qcow2OpenOptions, Qcow2CreateOptions> {
  return defineFormat<Qcow2Image, Qcow2OpenOptions, Qcow2CreateOptions>({
    name: "qcow2",
    extensions: [".qcow2"],
    probeLength,
    probe(header) {
      if (header.length < probeLength) {
        return 0;
      }
      const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
      // version 1 is another format
      return view.getUint32(0) === magic && view.getUint32(4) >= 2 ? 100 : 0;
    },
    open: (storage, options) => openImage(storage, { ...defaults, ...options }),
    create: (storage, options) => createAndOpen(storage, { ...defaults, ...options }),
    createClosed,
  });
}

/** The qcow2 format: versions 2 and 3. */
export const qcow2: Format<Qcow2Image, Qcow2OpenOptions, Qcow2CreateOptions> = qcow2With({});
