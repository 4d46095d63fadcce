import { allowWithin, denyAll, FormatRegistry, MemoryStorage, type OpenGate, type Storage } from "@img/format-core";
import { qcow2 } from "@img/qcow2";
import { raw } from "@img/raw";
import { memoryOpener, RecordingOpener } from "./recording-opener.ts";

/** Where the gate lets images open what they name. */
const grantedDirectory = "/granted";

/**
 * A small world in memory: an image at `/granted/image.qcow2`, a few files beside it, and files outside that it must not get at. Everything
 * opened is recorded.
 */
export class HostileWorld {
  readonly opener: RecordingOpener;
  readonly gate: OpenGate;
  readonly #image: Uint8Array;

  /** @param deny - let the image open nothing at all */
  constructor(image: Uint8Array, base: Uint8Array, deny: boolean) {
    this.#image = image;
    const files = new Map([
      [`${grantedDirectory}/image.qcow2`, image],
      [`${grantedDirectory}/base.raw`, base],
      ["/etc/passwd", new TextEncoder().encode("root:x:0:0:root:/root:/bin/sh\n")],
      ["/secret", base],
    ]);
    this.opener = new RecordingOpener(memoryOpener(files));
    const formats = new FormatRegistry([qcow2, raw]);
    this.gate = deny ? denyAll : allowWithin(grantedDirectory, { opener: this.opener, formats });
  }

  /** The image's own storage. */
  storage(): Storage {
    const location = `${grantedDirectory}/image.qcow2`;
    return new MemoryStorage(this.#image, { location, identity: location, writable: false });
  }

  /** What was opened although the gate doesn't grant it. */
  trespasses(): string[] {
    return this.opener.opened.filter((location) => !location.startsWith(`${grantedDirectory}/`));
  }
}
