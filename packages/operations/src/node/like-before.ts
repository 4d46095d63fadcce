import { chmodSync, chownSync, type Stats } from "node:fs";
import type { Io } from "@img/format-core";
import { copyFileAttributes, type NativePolicy } from "@img/storage-fs";
import { askHost } from "./ask-host.ts";
import { chmod, chown } from "./host-files.ts";

/** The file that a new one replaces. */
export interface ReplacedFile {
  readonly path: string;
  readonly stats: Stats;
  /** Whether the native helper may be asked for what Node can't do. */
  readonly native?: NativePolicy | undefined;
}

/**
 * Gives a new file the owner, the permissions and, with the native helper, the extended attributes (access control lists, labels) of the one that it replaces, as
 * far as we may: where it can't have the group, our own doesn't get what that one was allowed.
 *
 * @throws the host's error for an extended attribute that the new file can't have: without it, others could do more with it than before, or less
 */
export function* likeBefore(path: string, replaced: ReplacedFile): Io<void> {
  const { uid, gid, mode } = replaced.stats;
  let permissions = mode & 0o7777;
  try {
    yield* askHost(
      path,
      () => chown(path, uid, gid),
      () => {
        chownSync(path, uid, gid);
      },
    );
  } catch (error) {
    if (!isPermission(error)) throw error;
    permissions &= 0o707;
  }
  // before the permissions: with an access control list, those of the group are what the list may allow at most
  copyFileAttributes(replaced.path, path, { native: replaced.native ?? "auto" });
  yield* askHost(
    path,
    () => chmod(path, permissions),
    () => {
      chmodSync(path, permissions);
    },
  );
}

function isPermission(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "EPERM" || error.code === "EINVAL");
}
