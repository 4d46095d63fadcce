import { ImgError, runAsync, runSync, type FormatAccess, type Io } from "@img/format-core";
import type { NewSnapshot, Snapshot, SnapshotSelector } from "@img/qcow2";
import { imageOf, type SyncImage } from "../sync-image.ts";

/** What a driver of a format with snapshots has beside the rest. {@link createSnapshot} and its siblings run these with the image to themselves. */
export interface SnapshotDriver {
  /** In the order in which they were made. */
  readonly snapshots: readonly Snapshot[];
  createSnapshot(options: NewSnapshot): Io<Snapshot>;
  applySnapshot(selector: SnapshotSelector): Io<void>;
  deleteSnapshot(selector: SnapshotSelector): Io<void>;
}

/** The snapshots in an image, in the order in which they were made; none where the format hasn't got any. */
export function listSnapshots(image: SyncImage): readonly Snapshot[] {
  const { driver } = imageOf(image);
  return isSnapshotDriver(driver) ? driver.snapshots : [];
}

/**
 * Keeps the disk as it is now under a name, in the image itself: what `qemu-img snapshot -c` does. Durable when it returns.
 *
 * @param image - writable; nobody else reads or writes it meanwhile, they wait
 * @throws ImgError `ERR_IMG_UNSUPPORTED` when the format, or an image like that, has no snapshots; `ERR_IMG_LIMIT` when there are too many; the
 * image is what it was then
 */
export function createSnapshot(image: FormatAccess, options: NewSnapshot): Promise<Snapshot> {
  return runAsync(createSnapshotIo(image, options));
}

/**
 * {@link createSnapshot} without waiting.
 * @throws ImgError as {@link createSnapshot}
 */
export function createSnapshotSync(image: SyncImage, options: NewSnapshot): Snapshot {
  return runSync(createSnapshotIo(imageOf(image), options));
}

function* createSnapshotIo(image: FormatAccess, options: NewSnapshot): Io<Snapshot> {
  return yield* alone(image, (driver) => driver.createSnapshot(options));
}

/**
 * Makes the disk what it was when a snapshot was made, its size included: what `qemu-img snapshot -a` does. What was written since is lost, unless
 * another snapshot has it. Durable when it returns.
 *
 * @param image - writable; nobody else reads or writes it meanwhile, they wait
 * @param selector - an id or a name; a string is looked for among the ids first
 * @throws ImgError `ERR_IMG_UNSUPPORTED` when the format has no snapshots; `ERR_IMG_OUT_OF_RANGE` when there is no such snapshot;
 * `ERR_IMG_CORRUPT` when its tables can't be
 */
export function applySnapshot(image: FormatAccess, selector: SnapshotSelector): Promise<void> {
  return runAsync(applySnapshotIo(image, selector));
}

/**
 * {@link applySnapshot} without waiting.
 * @throws ImgError as {@link applySnapshot}
 */
export function applySnapshotSync(image: SyncImage, selector: SnapshotSelector): void {
  runSync(applySnapshotIo(imageOf(image), selector));
}

function* applySnapshotIo(image: FormatAccess, selector: SnapshotSelector): Io<void> {
  yield* alone(image, (driver) => driver.applySnapshot(selector));
}

/**
 * Forgets a snapshot and frees what nobody else uses: what `qemu-img snapshot -d` does. Durable when it returns.
 *
 * @param image - writable; nobody else reads or writes it meanwhile, they wait
 * @param selector - an id or a name; a string is looked for among the ids first
 * @throws ImgError as {@link applySnapshot}
 */
export function deleteSnapshot(image: FormatAccess, selector: SnapshotSelector): Promise<void> {
  return runAsync(deleteSnapshotIo(image, selector));
}

/**
 * {@link deleteSnapshot} without waiting.
 * @throws ImgError as {@link deleteSnapshot}
 */
export function deleteSnapshotSync(image: SyncImage, selector: SnapshotSelector): void {
  runSync(deleteSnapshotIo(imageOf(image), selector));
}

function* deleteSnapshotIo(image: FormatAccess, selector: SnapshotSelector): Io<void> {
  yield* alone(image, (driver) => driver.deleteSnapshot(selector));
}

function* alone<T>(image: FormatAccess, body: (driver: SnapshotDriver) => Io<T>): Io<T> {
  const { driver } = image;
  if (!isSnapshotDriver(driver)) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", `${driver.format} images have no snapshots`, { feature: "snapshots" });
  }
  return yield* image.io.exclusive(() => body(driver));
}

function isSnapshotDriver(driver: object): driver is SnapshotDriver {
  const methods = ["createSnapshot", "applySnapshot", "deleteSnapshot"] as const satisfies (keyof SnapshotDriver)[];
  return "snapshots" in driver && methods.every((name) => typeof Reflect.get(driver, name) === "function");
}
