import { readFileSync, writeFileSync } from "node:fs";
import { MemoryStorage, runSync } from "@img/format-core";
import { afterAll, expect, test } from "vitest";
import { planRepair, repairImage } from "../src/index.ts";
import { runTool, ScratchDirectory } from "./support/qemu.ts";

const cluster = 512;
const offsetMask = 0x00ff_ffff_ffff_fe00n;

const scratch = new ScratchDirectory();
afterAll(() => {
  scratch[Symbol.dispose]();
});

const secret = ["--object", "secret,id=s,data=abc"];

/** An encrypted image whose refcounts can't count two places of the disk with one cluster, as there are. */
function makeShared(format: "luks" | "aes"): Uint8Array<ArrayBuffer> {
  const file = scratch.file(`${format}.qcow2`);
  const iterations = format === "luks" ? ",encrypt.iter-time=10" : "";
  const options = `encrypt.format=${format},encrypt.key-secret=s${iterations},cluster_size=${String(cluster)},refcount_bits=1`;
  // making a LUKS key measures the processor, which fails now and then on a busy one
  for (let attempt = 1, code: number | null = 1; code !== 0 && attempt <= 10; attempt++) {
    const args = ["create", "-q", ...secret, "-f", "qcow2", "-o", options, file, "16k"];
    code = runTool("qemu-img", args, attempt < 10 ? [0, 1] : [0]).exitCode;
  }
  const opts = `driver=qcow2,file.filename=${file},encrypt.format=${format},encrypt.key-secret=s`;
  runTool("qemu-io", [...secret, "--image-opts", "-c", "write -P 1 0 512", "-c", "write -P 2 512 512", opts]);
  const bytes = Uint8Array.from(readFileSync(file));
  const view = new DataView(bytes.buffer);
  const table = Number(view.getBigUint64(Number(view.getBigUint64(40))) & offsetMask);
  view.setBigUint64(table + 8, view.getBigUint64(table));
  return bytes;
}

/** The disk, as the tool decrypts it. */
function decrypted(bytes: Uint8Array, format: string): Buffer {
  const file = scratch.file("asked.qcow2");
  const raw = scratch.file("asked.raw");
  writeFileSync(file, bytes);
  const opts = `driver=qcow2,file.filename=${file},encrypt.format=${format},encrypt.key-secret=s`;
  runTool("qemu-img", ["convert", ...secret, "--image-opts", "-O", "raw", opts, raw]);
  return readFileSync(raw);
}

test("clusters that LUKS encrypts stay where they are, because only there they decrypt", () => {
  const bytes = makeShared("luks");
  const storage = new MemoryStorage(bytes.slice());
  const plan = runSync(planRepair(storage, { mode: "all" }));
  expect(plan.refused).toBe("encryption");
  const done = runSync(repairImage(storage, { mode: "all", plan }));
  expect(done).toEqual(plan);
  expect(done.after.findings.map(({ kind }) => kind)).toContain("refcount-overflow");
  expect(done.steps.filter(({ kind }) => kind === "copy-cluster")).toEqual([]);
  expect(decrypted(storage.toUint8Array(), "luks").equals(decrypted(bytes, "luks"))).toBe(true);
  expect(runSync(repairImage(storage, { mode: "all" })).stepCount).toBe(0);
});

test("clusters that AES encrypts get copies, because they decrypt by where they are in the disk", () => {
  const bytes = makeShared("aes");
  const storage = new MemoryStorage(bytes.slice());
  const done = runSync(repairImage(storage, { mode: "all" }));
  expect(done.refused).toBeUndefined();
  expect(done.after).toMatchObject({ corruptions: 0, leaks: 0 });
  expect(done.steps.map(({ kind }) => kind)).toContain("copy-cluster");
  expect(decrypted(storage.toUint8Array(), "aes").equals(decrypted(bytes, "aes"))).toBe(true);
});

test("the keys of an image that doesn't say where they are aren't given up as leaks", () => {
  const bytes = makeShared("luks");
  const view = new DataView(bytes.buffer);
  const keys = Number(view.getBigUint64(112 + 8));
  expect(view.getUint32(112)).toBe(0x0537be77);
  view.setUint32(112, 0x1234_5678);
  const storage = new MemoryStorage(bytes.slice());
  const done = runSync(repairImage(storage, { mode: "all" }));
  expect(done.after.complete).toBe(false);
  expect(done.steps.filter(({ newRefcount }) => newRefcount === 0)).toEqual([]);
  expect(done.after.findings.some(({ kind, hostOffset }) => kind === "leak" && hostOffset === keys)).toBe(true);
});
