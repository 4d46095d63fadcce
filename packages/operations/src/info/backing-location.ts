/**
 * Where the backing image lies that an image names, as qemu-img spells it: a relative name counts from the directory of the image that
 * names it, an absolute one and one with a protocol (`json:`, `nbd:`, …) stand for themselves. Only joins strings; `..` stays.
 *
 * @param image - the name that the image was opened by
 * @param backing - the name that the image's header has
 * @returns `undefined` when a relative name can't be resolved, because the image has no directory
 */
export function backingLocation(image: string, backing: string): string | undefined {
  if (backing.startsWith("/") || hasProtocol(backing)) {
    return backing;
  }
  if (image === "" || image.startsWith("json:")) {
    return undefined;
  }
  return image.slice(0, image.lastIndexOf("/") + 1) + backing;
}

/** Whether `name` begins with a protocol: a colon before the first slash. */
export function hasProtocol(name: string): boolean {
  return /^[^/:]*:/.test(name);
}
