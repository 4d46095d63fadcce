import { isAbsolute, resolve, sep } from "node:path";
import { ImgError } from "@img/format-core";

/** A path as messages show it: quoted, control characters escaped. */
export function fileLabel(path: string): string {
  return `file:${JSON.stringify(path)}`;
}

/**
 * `path` made absolute. Names are taken literally: `nbd://host` and `json:{}` are files. `..` stays, because where it leads
 * depends on symbolic links before it.
 *
 * @param directory - absolute; default the working directory
 * @throws ImgError `ERR_IMG_UNSUPPORTED` when there is a NUL in it, which no file's name can have
 */
export function absolutePath(path: string, directory: string = resolve(".")): string {
  if (path.includes("\0")) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", `${fileLabel(path)}: a file's name can't contain a NUL`, {
      subject: fileLabel(path),
    });
  }
  const joined = isAbsolute(path) ? path : `${directory}${directory.endsWith(sep) ? "" : sep}${path}`;
  return sep === "/" && joined.split("/").includes("..") ? joined : resolve(joined);
}

/**
 * The absolute path of something that a file names.
 *
 * @param path - of the file, absolute
 * @param relative - what it names; an absolute path stays as it is
 */
export function resolveBeside(path: string, relative: string): string {
  return absolutePath(relative, path.slice(0, path.lastIndexOf(sep) + 1));
}
