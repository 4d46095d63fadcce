/** Where requests go: to clusters that are there; into an empty image; into an empty image above one that has everything. */
export type Ground = "reads" | "overwrites" | "allocating writes" | "reads over backing" | "writes over backing";

/** One behind the other, or far from each other. */
export type Order = "sequential" | "random";

/** How ours are sent. */
export type World =
  | { readonly kind: "sync" }
  | {
      readonly kind: "async";
      readonly depth: number;
      /** How files answer; default: the library's. */
      readonly blocking?: "cached" | "never";
    };

/** Lengths of requests, bytes. */
export const requestSizes: readonly [number, number, number] = [4096, 65_536, 1_048_576];

/** How requests are spread over a disk. */
export interface RequestPlan {
  /** Bytes from one to the next. */
  readonly step: number;
  readonly count: number;
  /** Requests of ours before the ones that are measured; QEMU's code needs no warming. */
  readonly warmUp: number;
}

const MiB = 2 ** 20;
const clusterSize = 65_536;
/** Virtual size of the image that allocating writes go to. */
const emptySize = 4096 * MiB;

/** Requests of each length that take some tenths of a second, where nothing has to be allocated. */
const enough: Readonly<Record<number, number>> = { 4096: 100_000, 65_536: 20_000, 1_048_576: 1500 };

/**
 * Plans requests to a disk of `size` MiB. QEMU's benchmark has no random order; steps that are large and odd come near to one, and no
 * request reaches behind the end because both the step and the disk's size are multiples of its length. Writes that allocate
 * have a cluster, or more, of their own each.
 */
export function requestPlan(
  size: number,
  shape: { readonly ground: Ground; readonly order: Order; readonly length: number; readonly depth: number },
): RequestPlan {
  const { ground, order, length, depth } = shape;
  const most = Math.ceil(((enough[length] ?? 1000) * Math.min(256, size)) / 256);
  switch (ground) {
    case "reads":
    case "overwrites":
    case "reads over backing": {
      const count = Math.ceil(depth === 1 ? most / 3 : most);
      const step = order === "sequential" ? length : 64 * MiB + 49 * length;
      return { step, count, warmUp: Math.ceil(count / 10) };
    }
    case "allocating writes":
    case "writes over backing": {
      const room = ground === "allocating writes" ? emptySize : size * MiB;
      const own = order === "sequential" ? length : Math.max(length, clusterSize);
      const warmUp = Math.ceil(Math.min(most / 5, room / own) / 20);
      const wanted = Math.ceil(most / (depth === 1 ? 20 : 5));
      return { step: own, warmUp, count: Math.max(1, Math.min(wanted, Math.floor(room / own) - warmUp)) };
    }
  }
}
