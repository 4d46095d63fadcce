import { ImgError } from "@img/format-core";

/** Bytes that `sockaddr_un` has room for, without the NUL behind a path. */
const pathLimit = { linux: 107, android: 107, win32: Infinity } as const;
/** The same of the BSDs and macOS, which have the least. */
const shortestPathLimit = 103;

/** Whether the path of a Unix socket is an abstract one (Linux), which has no file. */
export function isAbstract(path: string): boolean {
  return path.startsWith("\0");
}

/**
 * Checks that a path fits into the address of a Unix socket, a leading NUL and all: Node and the host cut off what doesn't without a word, and what is
 * left may be another server's socket.
 * @throws ImgError `ENAMETOOLONG` for more than 107 bytes (Linux; 103 elsewhere); `EINVAL` for a NUL that isn't the first character
 */
export function checkSocketPath(path: string): void {
  const limit =
    process.platform in pathLimit ? pathLimit[process.platform as keyof typeof pathLimit] : shortestPathLimit;
  const length = Buffer.byteLength(path);
  if (length > limit) {
    const found = `${length} bytes, at most ${limit} are possible`;
    throw new ImgError("ENAMETOOLONG", `the path of a Unix socket is too long: ${JSON.stringify(path)}: ${found}`);
  }
  if (path.includes("\0", 1)) {
    throw new ImgError("EINVAL", `the path of a Unix socket has a NUL in it: ${JSON.stringify(path)}`);
  }
}
