import { statSync } from "node:fs";
import type { Piece } from "../../children/bare/piece.ts";
import type { Images, RawDisk } from "../../input/images.ts";
import { clusterPieces, codedPieces } from "../../input/pieces.ts";
import { hasLibrary } from "../../run/native-library.ts";
import type { Programs } from "../../run/programs.ts";
import { inThreads, type Limit } from "./limit.ts";
import { planned } from "./planned.ts";

type Coder = "inflate" | "libdeflate" | "unzstd" | "deflate" | "zstd";

const coderNames: Readonly<Record<Coder, string>> = {
  inflate: "inflate by node:zlib",
  libdeflate: "inflate by libdeflate",
  unzstd: "libzstd",
  deflate: "deflate by node:zlib",
  zstd: "libzstd",
};

/** What needs the native helper, and the library that it calls. */
const libraries: Partial<Record<Coder, string>> = {
  libdeflate: "libdeflate.so.0",
  unzstd: "libzstd.so.1",
  zstd: "libzstd.so.1",
};

/** Reading, coding and writing each cluster, in one thread and in two; by libraries only where they are. */
export function codecLimits(images: Images, programs: Programs): Limit[] {
  const decompressions = (["", "files-"] as const).flatMap((of) =>
    (["zlib", "zstd"] as const).flatMap((type) =>
      (type === "zlib" ? (["inflate", "libdeflate"] as const) : (["unzstd"] as const)).map((coder) => ({
        of: `convert ${type} qcow2${of === "" ? "" : " of files"} to raw`,
        ...{ coder, mode: "place" as const },
        source: () => images.qcow2(`${of}${type}`),
        find: () => codedPieces(images.qcow2(`${of}${type}`)),
      })),
    ),
  );
  const compression = (of: string, kind: RawDisk, coder: "deflate" | "zstd") => ({
    of: `convert ${of}`,
    ...{ coder, mode: "append" as const },
    source: () => images.raw(kind),
    find: () => clusterPieces("raw", images.raw(kind)),
  });
  const all = [
    ...decompressions,
    compression("raw to qcow2, -c", "mixed", "deflate"),
    compression("raw to qcow2, -c zstd", "mixed", "zstd"),
    compression("raw of installed files to qcow2, -c zstd", "files", "zstd"),
  ];
  return all
    .filter(({ coder }) => isThere(libraries[coder]))
    .flatMap((what) => ["", " (QEMU: -W -m 16)"].map((order) => ({ ...what, of: `${what.of}${order}` })))
    .flatMap((what) => [1, 2].map((threads) => recode(images, programs, what, threads)));
}

function isThere(library: string | undefined): boolean {
  return library === undefined || hasLibrary(library);
}

function recode(
  images: Images,
  programs: Programs,
  what: {
    readonly of: string;
    readonly coder: Coder;
    readonly mode: "place" | "append";
    readonly source: () => string;
    readonly find: () => readonly Piece[];
  },
  threads: number,
): Limit {
  const output = images.path("output");
  const size = images.size * 2 ** 20;
  const plan = planned(images, what.of, what.find);
  return {
    of: what.of,
    program: `${coderNames[what.coder]}, ${inThreads(threads)}`,
    run: programs.bare("recode", () => {
      const length = what.mode === "place" ? size : 0;
      return [what.mode, what.coder, what.source(), output, String(length), plan().path, String(threads)];
    }),
    ...(what.mode === "place" ? {} : { verify: () => expectCompressed(output, size) }),
  };
}

/** @throws Error when a file is empty, or isn't smaller than the disk that is in it */
function expectCompressed(path: string, disk: number): void {
  const { size } = statSync(path);
  if (size === 0 || size >= disk) {
    throw new Error(`${path}: ${String(size)} bytes, expected less than ${String(disk)}`);
  }
}
