import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { copyFileAttributes } from "../src/index.ts";
import { hasNative, scratch } from "./support/places.ts";

const root = scratch();
let from: string;
let to: string;
let cases = 0;

beforeEach(() => {
  const directory = join(root, String(cases++));
  mkdirSync(directory);
  [from, to] = [join(directory, "from ä"), join(directory, "to")];
  writeFileSync(from, "one");
  writeFileSync(to, "other", { mode: 0o600 });
});

function setAttribute(path: string, name: string, value: string): void {
  execFileSync("setfattr", ["-n", name, "-v", value, path]);
}

/** All attributes that everybody may see, as text. */
function attributes(path: string): string {
  const text = execFileSync("getfattr", ["-d", "-e", "hex", "-m", "-", "--absolute-names", path], { encoding: "utf8" });
  return text.replace(/^# file.*\n/, "");
}

function accessList(path: string): string {
  return execFileSync("getfacl", ["--numeric", "--omit-header", "--absolute-names", path], { encoding: "utf8" });
}

// without the helper nothing is copied, which the last test here is about
describe.runIf(hasNative)("copyFileAttributes", () => {
  it("copies names and values of every kind", () => {
    setAttribute(from, "user.text", "a text");
    setAttribute(from, "user.bytes", "0x00ff0a00");
    setAttribute(from, "user.empty", "");
    setAttribute(from, "user.long", `0x${"ab".repeat(2000)}`);
    setAttribute(to, "user.text", "another one");
    expect(copyFileAttributes(from, to)).toBe(true);
    expect(attributes(to)).toBe(attributes(from));
    expect(attributes(to)).toContain("user.bytes=0x00ff0a00");
  });

  it("copies the access control list, so that the group gets no more than before", () => {
    execFileSync("setfacl", ["-m", "u::rw-,g::---,o::---,u:65534:rw-", from]);
    const { mode } = statSync(from);
    // what looks like the group's permissions is what the list allows at most
    expect(mode & 0o777).toBe(0o660);
    expect(copyFileAttributes(from, to)).toBe(true);
    chmodSync(to, mode & 0o7777);
    expect(accessList(to)).toBe(accessList(from));
    expect(accessList(to)).toContain("group::---");
    expect(accessList(to)).toContain("user:65534:rw-");
  });

  it("takes the access control list away that a new file has from its directory", () => {
    const directory = join(root, "with a default");
    mkdirSync(directory);
    execFileSync("setfacl", ["-d", "-m", "u:65534:rw-", directory]);
    const inherited = join(directory, "new");
    writeFileSync(inherited, "");
    expect(accessList(inherited)).toContain("user:65534:rw-");
    expect(copyFileAttributes(from, inherited)).toBe(true);
    expect(accessList(inherited)).not.toContain("65534");
  });

  it("keeps what only the other one has", () => {
    setAttribute(to, "user.own", "kept");
    copyFileAttributes(from, to);
    expect(attributes(to)).toContain("user.own=");
  });

  // only the administrator gives a program rights
  it.runIf(process.geteuid?.() === 0)("leaves out what is said about the bytes", () => {
    setAttribute(from, "security.capability", "0x0100000200040000000000000000000000000000");
    setAttribute(from, "user.text", "a text");
    copyFileAttributes(from, to);
    expect(attributes(to)).toContain("user.text=");
    expect(attributes(to)).not.toContain("security.capability");
  });

  it("doesn't follow a link", () => {
    setAttribute(from, "user.text", "a text");
    const link = `${from}.link`;
    symlinkSync(from, link);
    copyFileAttributes(link, to);
    expect(attributes(to)).toBe("");
  });

  it("does nothing where neither file can have any", () => {
    expect(copyFileAttributes("/proc/self/status", "/proc/self/status")).toBe(true);
  });

  it.each([
    ["from", (): unknown => copyFileAttributes(`${from}.missing`, to)],
    ["to", (): unknown => copyFileAttributes(from, `${to}.missing`)],
  ])("fails with the host's code where there is no file %s", (_which, copy) => {
    expect(copy).toThrow(expect.objectContaining({ code: "ENOENT" }));
  });

  it("fails with the host's code where an attribute can't be set", () => {
    setAttribute(from, "user.text", "a text");
    expect(() => copyFileAttributes(from, "/proc/self/status")).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/^E(NOTSUP|OPNOTSUPP|PERM|ACCES)$/) as unknown }),
    );
  });
});

it("copies nothing without the helper, and says so", () => {
  spawnSync("setfattr", ["-n", "user.text", "-v", "a text", from]);
  expect(copyFileAttributes(from, to, { native: "off" })).toBe(false);
  expect(attributes(to)).toBe("");
});
