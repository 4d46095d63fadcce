import { isImgError, type ImgError } from "@img/format-core";

/** A part of a source that couldn't be read, and was taken for zeroes. */
export interface UnreadableArea {
  /** Which of the sources: its index. */
  readonly source: number;
  /** Bytes from the start of that source's disk. */
  readonly offset: number;
  /** Bytes, ≥ 1: as much as follows for the same reason. */
  readonly length: number;
  /** What couldn't be read: the bytes, or where they are (in which case they are tried nonetheless). */
  readonly what: "data" | "mapping";
  readonly error: ImgError;
}

/** Hears about what couldn't be read, when that is no reason to stop. */
export type OnUnreadable = (area: UnreadableArea) => void;

/** Whether an error means that a part of an image can't be read, rather than that nobody should go on. */
export function isUnreadable(error: unknown): error is ImgError {
  return isImgError(error) && error.code !== "ERR_IMG_CLOSED" && error.code !== "ERR_IMG_ASYNC_ONLY";
}
