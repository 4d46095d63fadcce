import type { Storage } from "@img/format-core";
import { blobStorage, syncAccessHandleStorage, type SyncAccessHandleLike } from "@img/storage-adapters";
import type { StorageFactory } from "@img/testing";

/** Storages over files of the origin's private file system, through access handles. */
export class OpfsFiles implements StorageFactory {
  readonly #directory: FileSystemDirectoryHandle;
  readonly #files = new WeakMap<Storage, FileSystemFileHandle>();
  readonly #wrap: (handle: FileSystemSyncAccessHandle) => SyncAccessHandleLike;
  #count = 0;

  /** @param wrap - what is done to each handle. Default: nothing */
  constructor(
    directory: FileSystemDirectoryHandle,
    wrap: (handle: FileSystemSyncAccessHandle) => SyncAccessHandleLike = (handle) => handle,
  ) {
    this.#directory = directory;
    this.#wrap = wrap;
  }

  async create(contents: Uint8Array): Promise<Storage> {
    return this.#open(await this.file(contents), {});
  }

  async readOnly(contents: Uint8Array): Promise<Storage> {
    return this.#open(await this.file(contents), { writable: false });
  }

  async reopen(storage: Storage): Promise<Storage> {
    return this.#open(this.#file(storage), {});
  }

  async destroy(storage: Storage): Promise<void> {
    await this.#directory.removeEntry(this.#file(storage).name);
  }

  /** A new file with these contents, that is open nowhere. */
  async file(contents: Uint8Array): Promise<FileSystemFileHandle> {
    const file = await this.#directory.getFileHandle(`file-${String(this.#count++)}`, { create: true });
    const handle = await file.createSyncAccessHandle();
    handle.write(contents.slice());
    handle.close();
    return file;
  }

  async #open(file: FileSystemFileHandle, options: { readonly writable?: boolean }): Promise<Storage> {
    const storage = syncAccessHandleStorage(this.#wrap(await file.createSyncAccessHandle()), options);
    this.#files.set(storage, file);
    return storage;
  }

  #file(storage: Storage): FileSystemFileHandle {
    const file = this.#files.get(storage);
    if (file === undefined) throw new TypeError(`${storage.label} isn't one of these files`);
    return file;
  }
}

/** A handle that says it wrote everything, and left out the last byte. */
export function forgetful(handle: FileSystemSyncAccessHandle): SyncAccessHandleLike {
  return {
    read: (buffer, options) => handle.read(buffer, options),
    write: (buffer, options) => handle.write(buffer.subarray(0, -1), options) + Math.min(1, buffer.length),
    getSize: () => handle.getSize(),
    truncate: (size) => {
      handle.truncate(size);
    },
    flush: () => {
      handle.flush();
    },
    close: () => {
      handle.close();
    },
  };
}

/** Storages over `File`s whose bytes lie on a disk. */
export function diskFiles(files: OpfsFiles): StorageFactory {
  return {
    create: async (contents) => blobStorage(await (await files.file(contents)).getFile()),
  };
}
