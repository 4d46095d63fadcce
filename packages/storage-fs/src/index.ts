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
export { FileStorage } from "./file-storage.ts";
