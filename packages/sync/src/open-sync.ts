import {
  runSync,
  type CreateOptions,
  type Format,
  type FormatDriver,
  type OpenOptions,
  type Storage,
} from "@img/format-core";
import { SyncFormatAccess } from "./sync-format-access.ts";

/**
 * Opens the image in `storage` without waiting. On success the image owns `storage` and closes it; on failure it stays the caller's.
 * @throws ImgError as `format.open`; `ERR_IMG_ASYNC_ONLY` when a storage can't answer at once
 */
export function openSync<D extends FormatDriver, O extends OpenOptions, C extends CreateOptions>(
  format: Format<D, O, C>,
  storage: Storage,
  options?: O,
): SyncFormatAccess<D> {
  return new SyncFormatAccess(runSync(format.openIo(storage, options)));
}

/**
 * Creates an image in `storage` (its contents are lost) and opens it for writing, without waiting. Ownership as for {@link openSync}.
 * @throws ImgError as `format.create`; `ERR_IMG_ASYNC_ONLY` when a storage can't answer at once
 */
export function createSync<D extends FormatDriver, O extends OpenOptions, C extends CreateOptions>(
  format: Format<D, O, C>,
  storage: Storage,
  options: C,
): SyncFormatAccess<D> {
  return new SyncFormatAccess(runSync(format.createIo(storage, options)));
}
