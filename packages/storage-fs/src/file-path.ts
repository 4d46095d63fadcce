import { isAbsolute, resolve, sep } from "node:path";
import { ImgError } from "@img/format-core";

/** A path as messages show it: quoted, control characters escaped. */
export function fileLabel(path: string): string {
  return `file:${JSON.stringify(path)}`;
}

/**
 * `path` made absolute. Names are taken literally: `nbd://host` and `json:{}` are files. `..` stays, because where it leads
 * depends on symbolic links before it, unlike Node's `path.resolve`, and so does a slash at the end, with which it means a directory.
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
  const plain = sep === "/" && joined.split("/").includes("..") ? joined : resolve(joined);
  return joined.endsWith(sep) && !plain.endsWith(sep) ? `${plain}${sep}` : plain;
}

/**
 * The absolute path of something that a file names.
 *
 * @param path - of the file
 * @param relative - what it names; an absolute path stays as it is
 */
export function resolveBeside(path: string, relative: string): string {
  const absolute = absolutePath(path);
  return absolutePath(relative, absolute.slice(0, absolute.lastIndexOf(sep) + 1));
}
