import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, expect, it, vi } from "vitest";
import { createImageFile } from "../src/node.ts";

/** What the host says when it is asked about a name, and for what. */
const host = vi.hoisted(() => ({ question: "", code: "" }));

vi.mock("../src/node/host-files.ts", async (original) => {
  const files = await original<typeof import("../src/node/host-files.ts")>();
  const asked =
    <T extends readonly unknown[], R>(question: string, ask: (...words: T) => Promise<R>) =>
    (...words: T): Promise<R> =>
      host.question === question
        ? Promise.reject(Object.assign(new Error(`${host.code}: no answer`), { code: host.code }))
        : ask(...words);
  return { ...files, realpath: asked("realpath", files.realpath), access: asked("access", files.access) };
});

const root = mkdtempSync(join(tmpdir(), "img-uncertain-"));
let directory: string;
let target: string;

beforeEach(() => {
  directory = mkdtempSync(join(root, "case-"));
  target = join(directory, "target");
  writeFileSync(target, "precious");
});
afterEach(() => {
  host.question = "";
});
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

const create = (): Promise<number> => createImageFile({ path: target, format: "raw", size: 4096 });

it.each([
  ["realpath", "EIO"],
  ["realpath", "ENOENT"],
  ["realpath", "ELOOP"],
  ["access", "EIO"],
])("what is there isn't written over because %s failed by %s", async (question, code) => {
  Object.assign(host, { question, code });
  await expect(create()).rejects.toMatchObject({ name: "ImgError", code, subject: `file:"${target}"` });
  expect(readFileSync(target, "utf8")).toBe("precious");
  expect(readdirSync(directory)).toEqual(["target"]);
});

it.each([
  ["realpath", "EACCES"],
  ["access", "EACCES"],
  ["access", "EPERM"],
  ["access", "EROFS"],
])("where names can't be made, it is written in place: %s, %s", async (question, code) => {
  const before = statSync(target).ino;
  Object.assign(host, { question, code });
  await create();
  expect(statSync(target)).toMatchObject({ ino: before, size: 4096 });
});
