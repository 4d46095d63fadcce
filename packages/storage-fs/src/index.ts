export type { SystemDeflate } from "./compression/deflate-library.ts";
export { systemCompression, type SystemCompression } from "./compression/system-compression.ts";
export type { SystemZstd } from "./compression/zstd-library.ts";
export { copyFileAttributes, type CopyAttributesOptions } from "./copy-attributes.ts";
export { fileOpener } from "./file-opener.ts";
export type {
  BlockingPolicy,
  FileAccessOptions,
  FileCreateOptions,
  FileDescriptorOptions,
  FileOpenOptions,
  LockPolicy,
  NativePolicy,
} from "./file-options.ts";
export { absolutePath, resolveBeside } from "./file-path.ts";
export { FileStorage } from "./file-storage.ts";
