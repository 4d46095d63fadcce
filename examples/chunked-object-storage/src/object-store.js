/**
 * What a {@link ChunkedObjectStorage} needs of an object store. `put` is atomic: whoever reads, even after a crash, sees the old object or the new
 * one.
 *
 * @typedef {object} ObjectStore
 * @property {string} label for people
 * @property {(key: string) => Promise<Uint8Array | undefined>} get `undefined`: there is no such object
 * @property {(key: string, bytes: Uint8Array) => Promise<void>} put keeps no reference to `bytes`
 * @property {(key: string) => Promise<void>} delete harmless when there is no such object
 * @property {() => Promise<string[]>} list all keys
 * @property {() => Promise<void>} [sync] makes everything durable that was put; absent: `put` does
 */

export {};
