/** What the tests use of packages that come without types. */

declare module "random-access-file" {
  type RandomAccessLike = import("../../src/index.ts").RandomAccessLike;

  interface RandomAccessFileOptions {
    readonly writable?: boolean;
    readonly readable?: boolean;
    readonly lock?: boolean;
    readonly sparse?: boolean;
    readonly pool?: object;
  }

  export default class RandomAccessFile implements RandomAccessLike {
    constructor(path: string, options?: RandomAccessFileOptions);
    static createPool(size: number): object;
    readonly fd: number;
    readonly deletable: boolean;
    read: RandomAccessLike["read"];
    write: RandomAccessLike["write"];
    del: NonNullable<RandomAccessLike["del"]>;
    truncate: NonNullable<RandomAccessLike["truncate"]>;
    stat: RandomAccessLike["stat"];
    close: RandomAccessLike["close"];
  }
}

declare module "random-access-memory" {
  type RandomAccessLike = import("../../src/index.ts").RandomAccessLike;

  export default class RandomAccessMemory implements RandomAccessLike {
    constructor(contents?: Uint8Array | { readonly pageSize?: number; readonly length?: number });
    read: RandomAccessLike["read"];
    write: RandomAccessLike["write"];
    del: NonNullable<RandomAccessLike["del"]>;
    truncate: NonNullable<RandomAccessLike["truncate"]>;
    stat: RandomAccessLike["stat"];
    close: RandomAccessLike["close"];
    toBuffer(): Uint8Array;
  }
}

declare module "random-access-idb" {
  type RandomAccessLike = import("../../src/index.ts").RandomAccessLike;

  export default function open(
    database: string,
    options?: { readonly idb?: unknown; readonly size?: number },
  ): (name: string) => RandomAccessLike;
}
