export { raw } from "./raw.ts";
export { RawImage } from "./raw-image.ts";
export type { RawCreateOptions, RawOpenOptions } from "./raw-options.ts";
