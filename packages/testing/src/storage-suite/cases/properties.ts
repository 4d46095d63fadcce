import assert from "node:assert/strict";
import { isSyncStorage, type Io } from "@img/format-core";
import type { StorageCase } from "../storage-case.ts";
import type { Ability, StorageManifest } from "../storage-manifest.ts";
import type { StorageSubject } from "../storage-subject.ts";

/** Each optional method, and what the manifest says about it. */
const abilities = {
  writeZeroes: (manifest) => manifest.zeroes,
  copyFrom: (manifest) => manifest.copies,
  discard: (manifest) => manifest.discards,
  extents: (manifest) => manifest.extents,
  allocatedSize: (manifest) => manifest.allocatedSize,
  resize: (manifest) => manifest.resizes,
  invalidate: (manifest) => manifest.invalidates,
  resolve: (manifest) => manifest.resolves,
} as const satisfies Readonly<Record<string, (manifest: StorageManifest) => Ability | undefined>>;

/** The optional methods that exist in both worlds, and what the synchronous one is called. */
const twins = {
  writeZeroes: "writeZeroesSync",
  copyFrom: "copyFromSync",
  discard: "discardSync",
  extents: "extentsSync",
  allocatedSize: "allocatedSizeSync",
  resize: "resizeSync",
  invalidate: "invalidateSync",
} as const;

/** What can be seen of a storage without reading or writing. */
export const propertyCases: readonly StorageCase[] = [
  {
    name: "has the size of what it was made with",
    *run(subject: StorageSubject): Io<void> {
      subject.checkSize();
    },
  },
  {
    name: "may hold no bytes at all",
    when: (manifest) => manifest.empty !== false,
    contents: (): Uint8Array => new Uint8Array(0),
    *run(subject: StorageSubject): Io<void> {
      assert.equal(subject.storage.size, 0);
      yield* subject.check();
    },
  },
  {
    name: "has a label for people",
    *run({ storage }: StorageSubject): Io<void> {
      assert.equal(typeof storage.label, "string");
      assert.notEqual(storage.label.trim(), "");
    },
  },
  {
    name: "is writable exactly if its manifest says so",
    *run({ storage, manifest }: StorageSubject): Io<void> {
      assert.equal(storage.writable, manifest.writable !== false);
    },
  },
  {
    name: "has limits that are powers of two, with zero and discard multiples of request",
    *run({ storage }: StorageSubject): Io<void> {
      for (const [name, limit] of Object.entries(storage.limits) as [string, number][]) {
        assert.ok(limit >= 1 && Number.isInteger(Math.log2(limit)), `limits.${name} is ${String(limit)}`);
      }
      const { request, zero, discard } = storage.limits;
      assert.equal(zero % request, 0, "limits.zero is not a multiple of limits.request");
      assert.equal(discard % request, 0, "limits.discard is not a multiple of limits.request");
    },
  },
  {
    name: "has the optional methods that its manifest names, and no others",
    *run({ storage, manifest }: StorageSubject): Io<void> {
      for (const [name, abilityOf] of Object.entries(abilities)) {
        const ability = abilityOf(manifest) ?? false;
        if (ability !== "maybe") {
          const found = typeof storage[name as keyof typeof abilities];
          assert.equal(found, ability ? "function" : "undefined", `${name} of ${storage.label}`);
        }
      }
    },
  },
  {
    name: "has the synchronous facet exactly if its manifest says so",
    *run({ storage, manifest }: StorageSubject): Io<void> {
      assert.equal(isSyncStorage(storage), manifest.sync === true);
    },
  },
  {
    name: "has every method in both worlds if it has the synchronous facet",
    when: (manifest) => manifest.sync === true,
    *run({ storage }: StorageSubject): Io<void> {
      assert.ok(isSyncStorage(storage));
      for (const name of ["readSync", "writeSync", "flushSync", "syncSync", Symbol.dispose] as const) {
        assert.equal(typeof storage[name], "function", `${String(name)} is missing`);
      }
      for (const [name, twin] of Object.entries(twins) as [keyof typeof twins, (typeof twins)[keyof typeof twins]][]) {
        assert.equal(
          typeof storage[twin],
          typeof storage[name],
          `${twin} is there, and ${name} isn't, or the other way round`,
        );
      }
    },
  },
  {
    name: "has an identity, if any, that no other storage has",
    another: true,
    *run({ storage, another }: StorageSubject): Io<void> {
      if (storage.identity !== undefined) {
        assert.equal(typeof storage.identity, "string");
        assert.notEqual(storage.identity, another?.identity);
      }
    },
  },
  {
    name: "resolves names found inside to absolute locations",
    when: (manifest) => manifest.resolves !== undefined && manifest.resolves !== false,
    *run({ storage, manifest }: StorageSubject): Io<void> {
      if (storage.resolve === undefined) {
        assert.notEqual(manifest.resolves, true);
        return;
      }
      for (const name of ["base.img", "sub/base.img", "../base.img"]) {
        const location = storage.resolve(name);
        assert.match(
          location,
          /^(\/|\\\\|[A-Za-z][A-Za-z0-9+.-]*:)/,
          `${name} became ${location}, which isn't absolute`,
        );
        assert.equal(storage.resolve(location), location, "an absolute location isn't left as it is");
      }
    },
  },
];
