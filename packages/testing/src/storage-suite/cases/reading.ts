import type { Io } from "@img/format-core";
import { checkSameBytes } from "../check-same-bytes.ts";
import type { StorageCase } from "../storage-case.ts";
import type { StorageSubject } from "../storage-subject.ts";

/** Reads: never short, exact, and without side effects. */
export const readingCases: readonly StorageCase[] = [
  {
    name: "reads everything that it was made with",
    *run(subject: StorageSubject): Io<void> {
      yield* subject.check();
    },
  },
  {
    name: "reads any part",
    *run(subject: StorageSubject): Io<void> {
      const { request } = subject.grains;
      const { request: unit, memory } = subject.storage.limits;
      for (const offset of [0, unit, request, 7 * request, subject.model.size - 2 * request]) {
        for (const length of [Math.max(unit, memory), request, 2 * request]) {
          yield* subject.check(offset - (offset % unit), length);
        }
      }
    },
  },
  {
    name: "fills many buffers in order, and nothing around them",
    *run(subject: StorageSubject): Io<void> {
      const { request } = subject.grains;
      subject.checkBytes(yield* subject.read(request, 9 * request, 5), request);
      subject.checkBytes(yield* subject.read(0, 30 * request, 60), 0);
    },
  },
  {
    name: "fills more buffers than one system call takes",
    *run(subject: StorageSubject): Io<void> {
      const { request, memory } = subject.storage.limits;
      const length = 1100 * Math.max(request, memory);
      subject.checkBytes(yield* subject.read(request, length, 1100), request);
    },
  },
  {
    name: "reads nothing into no buffers, wherever that is",
    *run(subject: StorageSubject): Io<void> {
      for (const offset of [
        0,
        subject.grains.request,
        subject.model.size,
        subject.model.size + subject.grains.request,
      ]) {
        yield* subject.read(offset, 0);
      }
      yield* subject.check();
    },
  },
  {
    name: "reads zeroes behind the end in a read that begins before it",
    *run(subject: StorageSubject): Io<void> {
      const { request } = subject.grains;
      for (const length of [2 * request, 9 * request]) {
        const offset = subject.model.size - request;
        subject.checkBytes(yield* subject.read(offset, length), offset);
        subject.checkBytes(yield* subject.read(offset, length, 5), offset);
      }
    },
  },
  {
    name: "reads zeroes where there is nothing but the end before",
    *run(subject: StorageSubject): Io<void> {
      const { request } = subject.grains;
      for (const distance of [0, request, 1000 * request]) {
        const offset = subject.model.size + distance;
        subject.checkBytes(yield* subject.read(offset, 3 * request, 2), offset);
      }
    },
  },
  {
    name: "doesn't grow by being read behind the end",
    *run(subject: StorageSubject): Io<void> {
      yield* subject.read(subject.model.size + 5 * subject.grains.request, subject.grains.request);
      subject.checkSize();
    },
  },
  {
    name: "gives copies, not its own memory",
    *run(subject: StorageSubject): Io<void> {
      const { request } = subject.grains;
      yield* subject.scribbleOverRead(0, 4 * request);
      yield* subject.check();
    },
  },
  {
    name: "reads the same in both worlds",
    when: (manifest) => manifest.sync === true,
    *run(subject: StorageSubject): Io<void> {
      yield* checkSameBytes(subject);
    },
  },
];
