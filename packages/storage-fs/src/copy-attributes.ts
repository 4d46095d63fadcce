import { attributeCalls, type AttributeCalls } from "./native/attribute-calls.ts";
import { loadKoffi } from "./native/load-koffi.ts";
import { failure } from "./native/native-calls.ts";
import { nativeError } from "./native/native-error.ts";
import type { NativePolicy } from "./file-options.ts";

/** Most bytes of all names of a file, and of one value (`XATTR_LIST_MAX`, `XATTR_SIZE_MAX` of linux/limits.h). */
const longest = 65536;

/** Who may do what with a file, beside its permissions: a new file may have one from its directory that the other hasn't. */
const accessList = "system.posix_acl_access";

/** What the system says about the bytes that are in a file, and makes itself: wrong for other bytes. */
const ofContents = ["security.ima", "security.evm", "security.capability"];

/** How {@link copyFileAttributes} goes about it. */
export interface CopyAttributesOptions {
  /** `"off"`: nothing is done. Default `"auto"`. */
  readonly native?: NativePolicy;
}

/**
 * Gives a file the extended attributes of another one, for which it is to stand: access control lists, labels of the system's (SELinux), and users' own. What they
 * say about the bytes in a file is left out, and an access control list that the other file hasn't is taken away. Permissions should be set behind
 * it. Waits for the host.
 *
 * @param from - path of the file that has them; a symbolic link isn't followed
 * @param to - path of the file that gets them; the same
 * @returns whether it was done: `false` where the native helper isn't there
 * @throws the host's error, with its code (`EPERM`, `ENOTSUP`, …), for an attribute that can't be read or set; others may be set by then
 */
export function copyFileAttributes(from: string, to: string, { native = "auto" }: CopyAttributesOptions = {}): boolean {
  const calls = native === "off" ? undefined : loadCalls();
  if (calls === undefined) {
    return false;
  }
  const copied = attributesOf(calls, from);
  const there = attributesOf(calls, to);
  if (there.has(accessList) && !copied.has(accessList)) {
    check(calls.remove(to, accessList), "lremovexattr");
  }
  for (const [name, value] of copied) {
    if (!ofContents.includes(name) && !isSame(value, there.get(name))) {
      check(calls.set(to, name, value), "lsetxattr");
    }
  }
  return true;
}

let loaded: { readonly calls: AttributeCalls | undefined } | undefined;

function loadCalls(): AttributeCalls | undefined {
  loaded ??= { calls: load() };
  return loaded.calls;
}

function load(): AttributeCalls | undefined {
  const koffi = loadKoffi();
  try {
    return koffi === undefined ? undefined : attributeCalls(koffi);
  } catch {
    return undefined;
  }
}

function attributesOf(calls: AttributeCalls, path: string): ReadonlyMap<string, Uint8Array> {
  const names = new Uint8Array(longest);
  const length = calls.list(path, names);
  const attributes = new Map<string, Uint8Array>();
  if (length === failure.EOPNOTSUPP) {
    return attributes;
  }
  check(length, "llistxattr");
  const value = new Uint8Array(longest);
  for (const name of Buffer.from(names.buffer, 0, length).toString("utf8").split("\0")) {
    if (name !== "") {
      const bytes = calls.get(path, name, value);
      attributes.set(name, value.slice(0, check(bytes, "lgetxattr")));
    }
  }
  return attributes;
}

function isSame(one: Uint8Array, other: Uint8Array | undefined): boolean {
  return other !== undefined && Buffer.compare(one, other) === 0;
}

/** @returns what the call returned when it succeeded */
function check(result: number, call: string): number {
  if (result < 0) {
    throw nativeError(result, call);
  }
  return result;
}
