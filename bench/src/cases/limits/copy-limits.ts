import type { ConvertedImage, Images, RawDisk } from "../../input/images.ts";
import { dataPieces, packed } from "../../input/pieces.ts";
import type { Programs } from "../../run/programs.ts";
import { expectSize } from "./expect-size.ts";
import { inThreads, type Limit } from "./limit.ts";
import { planned } from "./planned.ts";

/** Copying, and comparing, by system calls in one thread and in two. */
export function copyLimits(images: Images, programs: Programs): Limit[] {
  const plain = [...copiesOf(images.larger, ", large disk"), ...copiesOf(images, ""), ...otherCopies(images)];
  const started = plain.filter(({ of }) => of.startsWith("raw with holes to raw") || of.startsWith("qcow2 to raw"));
  const counts = ({ of }: Copy): number[] => (of.startsWith("nearly empty") ? [1] : [1, 2]);
  return [
    ...plain.flatMap((what) => counts(what).map((threads) => copy(images, programs, what, { threads }))),
    ...started.flatMap((what) =>
      [1, 2].map((threads) => copy(images, programs, what, { threads, withoutStart: true })),
    ),
    ...started.map((what) => copy(images, programs, what, { threads: 2, sync: true })),
    ...[1, 2].map((threads) => comparison(images, programs, threads)),
  ];
}

/** A copy: what it is called, without what comes before and behind it in names of cases. */
interface Copy {
  readonly of: string;
  readonly images: Images;
  readonly format: "raw" | "qcow2";
  readonly source: () => string;
  /** Into a disk, where holes stay; or to an image, which has data alone. */
  readonly into: "raw" | "qcow2";
}

function copiesOf(images: Images, size: string): Copy[] {
  const raw = (kind: RawDisk) => ({ images, format: "raw", source: () => images.raw(kind) }) as const;
  const qcow2 = (kind: ConvertedImage) => ({ images, format: "qcow2", source: () => images.qcow2(kind) }) as const;
  return [
    { of: `raw with holes to raw${size}`, ...raw("mixed"), into: "raw" },
    { of: `raw with holes to qcow2${size}`, ...raw("mixed"), into: "qcow2" },
    { of: `qcow2 to raw${size}`, ...qcow2("plain"), into: "raw" },
    { of: `qcow2 to qcow2${size}`, ...qcow2("plain"), into: "qcow2" },
    { of: `nearly empty raw to raw${size}`, ...raw("sparse"), into: "raw" },
  ];
}

function otherCopies(images: Images): Copy[] {
  const qcow2 = (source: () => string) => ({ images, format: "qcow2", source, into: "raw" }) as const;
  return [
    { of: "random qcow2 without holes to raw", ...qcow2(() => images.qcow2("full")) },
    { of: "qcow2 of installed files to raw", ...qcow2(() => images.qcow2("files")) },
    { of: "fragmented qcow2 to raw", ...qcow2(() => images.fragmented()) },
    { of: "qcow2 with clusters of 4 KiB to raw", ...qcow2(() => images.qcow2("clusters-4k")) },
  ];
}

/** Copying by system calls. With `sync`, it waits for the disk at the end, as ours does where QEMU's doesn't. */
function copy(
  images: Images,
  programs: Programs,
  { of, images: { size }, format, source, into }: Copy,
  { threads, sync = false, withoutStart = false }: { threads: number; sync?: boolean; withoutStart?: boolean },
): Limit {
  const output = images.path("output");
  const plan = planned(images, `${of} ${into}`, () => {
    const pieces = dataPieces(format, source());
    return into === "raw" ? pieces : packed(pieces);
  });
  return {
    of: `convert ${of}${sync ? "" : ", -t unsafe"}`,
    program: `copy${sync ? ", sync" : ""}, ${inThreads(threads)}`,
    run: programs.bare("copy", () => {
      const { path, end } = plan();
      const length = into === "raw" ? size * 2 ** 20 : end;
      return [sync ? "sync" : "leave", source(), output, String(length), path, String(threads)];
    }),
    ...(into === "raw" ? {} : { verify: () => expectSize(output, plan().end) }),
    ...(withoutStart ? { withoutStart } : {}),
  };
}

/** Reading both and comparing them, with nothing else. */
function comparison(images: Images, programs: Programs, threads: number): Limit {
  const { larger } = images;
  const plan = planned(images, "compare", () => dataPieces("qcow2", larger.qcow2("plain")));
  return {
    of: "compare qcow2 with raw, large disk, start-up subtracted",
    program: `compare, ${inThreads(threads)}`,
    run: programs.bare("copy", () => {
      return ["compare", larger.qcow2("plain"), larger.raw(), "0", plan().path, String(threads)];
    }),
  };
}
