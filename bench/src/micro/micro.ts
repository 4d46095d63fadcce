/** Something small that is measured by itself. */
export interface Micro {
  /** The package that it belongs to, without its scope. */
  readonly package: string;
  readonly name: string;
  /** Bytes that each repetition moves; default: it moves none. */
  readonly bytes?: number;
  /** Does it so often. */
  readonly run: (count: number) => void | Promise<void>;
}

/** Several of a package, and what has to be closed behind them. */
export interface MicroGroup {
  readonly cases: readonly Micro[];
  readonly close?: () => void | Promise<void>;
}

/** Calls `work` with 0 to `count` - 1. */
export function repeat(work: (index: number) => void): (count: number) => void {
  return (count) => {
    for (let index = 0; index < count; index++) {
      work(index);
    }
  };
}

/** {@link repeat}, each only when the one before has ended. */
export function repeatAsync(work: (index: number) => Promise<unknown>): (count: number) => Promise<void> {
  return async (count) => {
    for (let index = 0; index < count; index++) {
      await work(index);
    }
  };
}
