import type { Io } from "../io/io.ts";
import type { Storage } from "../storage/storage.ts";

/** Opens storages by location; a package that has a kind of storage provides one (`fileOpener` of `@img/storage-fs`). */
export interface StorageOpener {
  /** Opens what lies at `location`, without creating anything. Refuses what isn't random access (pipes, sockets, terminals) without waiting for it. */
  open(location: string, options: { readonly writable: boolean }): Io<Storage>;
  /**
   * The one true spelling of `location`: links followed, `..` removed. Two spellings of one object give the same.
   * Something that doesn't exist is an error.
   */
  canonical(location: string): Io<string>;
}
