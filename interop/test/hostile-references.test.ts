import { execFileSync } from "node:child_process";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  allowAll,
  allowWithin,
  denyAll,
  FormatRegistry,
  ImgError,
  runSync,
  type FormatAccess,
  type OpenGate,
} from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { qcow2, type Qcow2Image } from "@img/qcow2";
import { raw } from "@img/raw";
import { FileStorage, fileOpener } from "@img/storage-fs";
import { craftHeader, extensionType, textData } from "../src/craft-image.ts";
import { RecordingOpener } from "../src/recording-opener.ts";
import { TemporaryDirectory } from "../src/temporary-directory.ts";

/** What a name leads to that an image has for its backing image or data file. */
interface Reference {
  readonly title: string;
  readonly name: string | Uint8Array;
  /** Codes that it may be refused with when everything in the directory is granted. */
  readonly within: readonly string[];
  /** Codes that it may be refused with when everything is granted. `undefined`: it is a plain file then, and may be read. */
  readonly all: readonly string[] | undefined;
  /** Whether the gate lets the opener see it when the directory is granted. */
  readonly seen?: boolean;
}

const denied = ["ERR_IMG_DENIED"];
const missing = ["ENOENT", "ERR_IMG_DENIED", "ERR_IMG_UNSUPPORTED"];

const references: readonly Reference[] = [
  { title: "a file outside", name: "/etc/passwd", within: denied, all: undefined },
  { title: "a file outside by a relative name", name: "../../../../../../etc/passwd", within: denied, all: undefined },
  { title: "a file outside by a link", name: "link-out", within: denied, all: undefined },
  { title: "a file outside by a link to a directory", name: "directory-out/passwd", within: denied, all: undefined },
  { title: "a file outside by a protocol that means a file", name: "file:/etc/passwd", within: denied, all: undefined },
  { title: "a pipe", name: "fifo", within: ["ERR_IMG_UNSUPPORTED"], all: ["ERR_IMG_UNSUPPORTED"], seen: true },
  {
    title: "a socket",
    name: "socket",
    within: ["ERR_IMG_UNSUPPORTED", "ENXIO"],
    all: ["ERR_IMG_UNSUPPORTED", "ENXIO"],
    seen: true,
  },
  {
    title: "a directory",
    name: "directory",
    within: ["ERR_IMG_UNSUPPORTED", "EISDIR"],
    all: ["ERR_IMG_UNSUPPORTED", "EISDIR"],
    seen: true,
  },
  { title: "its own directory", name: ".", within: denied, all: ["ERR_IMG_UNSUPPORTED", "EISDIR"] },
  { title: "an endless device", name: "/dev/zero", within: denied, all: ["ERR_IMG_UNSUPPORTED"] },
  { title: "the terminal", name: "/dev/tty", within: denied, all: ["ERR_IMG_UNSUPPORTED", "ENXIO"] },
  { title: "nothing", name: "not-there", within: missing, all: missing },
  { title: "a JSON name", name: 'json:{"driver":"file","filename":"/etc/passwd"}', within: missing, all: missing },
  { title: "an NBD server", name: "nbd://127.0.0.1:1/export", within: missing, all: missing },
  { title: "a web server", name: "http://127.0.0.1:1/image", within: missing, all: missing },
  { title: "a name with a NUL", name: "inside\u0000.raw", within: [...missing, "EINVAL"], all: [...missing, "EINVAL"] },
  { title: "a name that isn't UTF-8", name: Uint8Array.of(0x62, 0xff, 0xfe, 0xc0), within: missing, all: missing },
  { title: "a name too long for the host", name: "n".repeat(900), within: ["ENAMETOOLONG"], all: ["ENAMETOOLONG"] },
];

const formats = new FormatRegistry([qcow2, raw]);

describe("what an image refers to", () => {
  let directory: TemporaryDirectory;
  let server: Server;

  beforeAll(async () => {
    directory = new TemporaryDirectory();
    symlinkSync("/etc/passwd", directory.file("link-out"));
    symlinkSync("/etc", directory.file("directory-out"));
    mkdirSync(directory.file("directory"));
    execFileSync("mkfifo", [directory.file("fifo")]);
    server = createServer();
    await new Promise<void>((resolve) => {
      server.listen(directory.file("socket"), resolve);
    });
    writeFileSync(directory.file("inside.raw"), "inside");
  });
  afterAll(() => {
    server.close();
    directory[Symbol.dispose]();
  });

  /** Opens an image whose header is `header` through `gate`, in the given world, in bounded time. */
  async function open(header: Uint8Array, gate: OpenGate, world: string): Promise<FormatAccess<Qcow2Image>> {
    const path = directory.file("image.qcow2");
    writeFileSync(path, header);
    const start = performance.now();
    try {
      return world === "sync"
        ? runSync(qcow2.openIo(FileStorage.openSync(path), { gate }))
        : await qcow2.open(await FileStorage.open(path), { gate });
    } finally {
      expect(performance.now() - start).toBeLessThan(20_000);
    }
  }

  async function refusal(header: Uint8Array, gate: OpenGate, world: string): Promise<string> {
    try {
      const access = await open(header, gate, world);
      await access.close();
      return "accepted";
    } catch (error) {
      expect(error).toBeInstanceOf(ImgError);
      return (error as ImgError).code;
    }
  }

  const roles = {
    "backing image": (name: string | Uint8Array) =>
      craftHeader({ backing: name, extensions: [[extensionType.backingFormat, textData("raw")]] }),
    "backing image of unrecorded format": (name: string | Uint8Array) => craftHeader({ backing: name }),
    "data file": (name: string | Uint8Array) =>
      craftHeader({
        incompatible: 4n,
        extensions: [[extensionType.dataFile, typeof name === "string" ? textData(name) : name]],
      }),
  };

  for (const [role, headerFor] of Object.entries(roles)) {
    for (const world of ["async", "sync"]) {
      for (const reference of references) {
        const { title, name, within, all, seen = false } = reference;
        test(`${title} as the ${role}, ${world}`, async () => {
          const header = headerFor(name);
          expect(await refusal(header, denyAll, world)).toMatch(/^ERR_IMG_(DENIED|UNSUPPORTED)$/);

          const granted = new RecordingOpener(fileOpener());
          const gate = allowWithin(directory.path, { opener: granted, formats });
          // as a data file, a name with a protocol is a plain name that leads nowhere
          const isPlain = role === "data file" && String(name).startsWith("file:");
          expect(isPlain ? missing : within).toContain(await refusal(header, gate, world));
          expect(granted.opened).toEqual(seen ? [directory.file(String(name))] : []);

          const everything = allowAll({ opener: fileOpener(), formats });
          const expected = all ?? (isPlain ? missing : ["accepted"]);
          expect(expected).toContain(await refusal(header, everything, world));
        });
      }

      test(`something beside it as the ${role}, ${world}`, async () => {
        const gate = allowWithin(directory.path, { opener: fileOpener(), formats });
        expect(await refusal(headerFor("inside.raw"), gate, world)).toBe("accepted");
        expect(await refusal(headerFor(directory.file("inside.raw")), gate, world)).toBe("accepted");
        expect(await refusal(headerFor("directory/../inside.raw"), gate, world)).toBe("accepted");
      });
    }
  }

  function chainOf(names: readonly string[], last: string): void {
    names.forEach((name, index) => {
      const backing = names[index + 1] ?? last;
      const format = backing === "end.raw" ? "raw" : "qcow2";
      writeFileSync(
        directory.file(name),
        craftHeader({ backing, extensions: [[extensionType.backingFormat, textData(format)]] }),
      );
    });
  }

  for (const world of ["async", "sync"]) {
    const openFirst = async (name: string): Promise<FormatAccess> => {
      const gate = allowAll({ opener: fileOpener(), formats });
      const path = directory.file(name);
      return world === "sync"
        ? runSync(qcow2.openIo(FileStorage.openSync(path), { gate }))
        : qcow2.open(await FileStorage.open(path), { gate });
    };

    test.each([
      ["itself", ["self.qcow2"], "self.qcow2"],
      ["itself by another spelling", ["self2.qcow2"], "./directory/../self2.qcow2"],
      ["itself by a link", ["self3.qcow2"], "self3-link"],
      ["one that is backed by it", ["a.qcow2", "b.qcow2"], "a.qcow2"],
      ["one of a loop further down", ["c.qcow2", "d.qcow2", "e.qcow2"], "d.qcow2"],
    ])(`an image backed by %s is refused as a loop, ${world}`, async (_, names, last) => {
      chainOf(names, last);
      if (last === "self3-link" && world === "async") {
        symlinkSync(directory.file("self3.qcow2"), directory.file("self3-link"));
      }
      await expect(openFirst(names[0]!)).rejects.toMatchObject({ code: "ERR_IMG_CORRUPT" });
    });

    test(`a chain as deep as allowed is read, and one that is deeper is refused, ${world}`, async () => {
      writeFileSync(directory.file("end.raw"), Buffer.alloc(4096, 7));
      const deep = (count: number): string[] =>
        Array.from({ length: count }, (_, index) => `deep-${String(index)}.qcow2`);
      // the raw image at the end counts, too
      chainOf(deep(63), "end.raw");
      const access = await openFirst("deep-0.qcow2");
      const buffer = new Uint8Array(4096);
      if (world === "sync") {
        runSync(access.io.read(IoVector.single(buffer), 0));
      } else {
        await access.read(buffer, 0);
      }
      await access.close();
      expect(buffer).toEqual(new Uint8Array(4096).fill(7));
      chainOf(deep(65), "end.raw");
      await expect(openFirst("deep-0.qcow2")).rejects.toMatchObject({ code: "ERR_IMG_LIMIT" });
    });
  }
});
