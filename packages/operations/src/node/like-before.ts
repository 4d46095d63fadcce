import { chmodSync, chownSync, type Stats } from "node:fs";
import type { Io } from "@img/format-core";
import { askHost } from "./ask-host.ts";
import { chmod, chown } from "./host-files.ts";

/**
 * Gives a new file the owner and the permissions of the one that it replaces, as far as we may: where it can't have the group, our own doesn't get what that one
 * was allowed.
 */
export function* likeBefore(path: string, { uid, gid, mode }: Stats): Io<void> {
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
