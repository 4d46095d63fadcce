import { getSystemErrorMap } from "node:util";

/** What C calls them; libuv has words of its own. */
const messages: Readonly<Record<string, string>> = {
  EACCES: "Permission denied",
  EAGAIN: "Resource temporarily unavailable",
  EBUSY: "Device or resource busy",
  EEXIST: "File exists",
  EFBIG: "File too large",
  EINVAL: "Invalid argument",
  EIO: "Input/output error",
  EISDIR: "Is a directory",
  ELOOP: "Too many levels of symbolic links",
  EMFILE: "Too many open files",
  ENAMETOOLONG: "File name too long",
  ENODEV: "No such device",
  ENOENT: "No such file or directory",
  ENOMEM: "Cannot allocate memory",
  ENOSPC: "No space left on device",
  ENOTDIR: "Not a directory",
  ENXIO: "No such device or address",
  EPERM: "Operation not permitted",
  EROFS: "Read-only file system",
  ETXTBSY: "Text file busy",
};

/** What an errno code of the host means; `undefined` for a code that is none. */
export function strerror(code: string): string | undefined {
  if (Object.hasOwn(messages, code)) {
    return messages[code];
  }
  for (const [name, message] of getSystemErrorMap().values()) {
    if (name === code) {
      return message;
    }
  }
  return undefined;
}
