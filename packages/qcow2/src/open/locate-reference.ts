import type { Storage } from "@img/format-core";

/**
 * Whether a name begins with a protocol, as QEMU sees it: a colon before any slash.
 */
export function hasProtocol(name: string): boolean {
  return /^[^/:]*:/.test(name);
}

/**
 * The absolute location of the backing image that an image names: relative names are relative to the image that has them. Names with a
 * protocol (`nbd://…`, `json:…`) stay as they are, for a gate that knows what to do with them; `file:` means a plain name.
 */
export function locateBacking(from: Storage, name: string): string {
  const plain = name.startsWith("file:") ? name.slice("file:".length) : name;
  if (hasProtocol(plain)) {
    return name;
  }
  return from.resolve?.(plain) ?? plain;
}
