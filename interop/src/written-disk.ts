import type { FormatAccess } from "@img/format-core";
import type { Qcow2Image } from "@img/qcow2";
import { ModelDisk } from "@img/testing";
import type { Random } from "./random.ts";
import type { WrittenShape } from "./written-image.ts";

/** One thing that a program does to a disk. */
export type WriteStep =
  | { readonly kind: "write"; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly kind: "compress"; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly kind: "zero" | "discardToZero" | "discardToAny"; readonly offset: number; readonly length: number }
  | { readonly kind: "resize"; readonly size: number; readonly preallocation: "none" | "metadata" | "falloc" | "full" }
  | { readonly kind: "read"; readonly offset: number; readonly length: number }
  | { readonly kind: "flush" | "sync" };

/** The kinds of steps that {@link randomStep} makes, by how often it makes them. */
const stepKinds = [
  "write",
  "write",
  "write",
  "write",
  "compress",
  "zero",
  "discardToZero",
  "discardToAny",
  "resize",
  "read",
  "flush",
  "sync",
] as const satisfies readonly WriteStep["kind"][];

/** A step that an image of that shape can do, on a disk of `size` bytes. */
export function randomStep(random: Random, shape: WrittenShape, size: number): WriteStep {
  const kind = random.pick(stepKinds);
  const offset = random.between(0, size - 1);
  const most = Math.min(size - offset, random.chance(0.5) ? shape.clusterSize * 4 : 5000);
  const length = random.between(1, most);
  switch (kind) {
    case "write":
      return { kind, offset, bytes: pattern(random, length) };
    case "compress": {
      const start = offset - (offset % shape.clusterSize);
      const bytes = pattern(random, Math.min(shape.clusterSize, size - start));
      // an external data file holds no compressed clusters
      return { kind: shape.dataFile === "none" ? kind : "write", offset: start, bytes };
    }
    case "resize": {
      const change = random.between(0, 6 * shape.clusterSize) * (random.chance(0.5) ? 1 : -1);
      const target = Math.max(512, size + change);
      const grows = target > size && shape.backing === "none";
      return {
        kind,
        size: target - (target % 512),
        preallocation: grows ? random.pick(["none", "metadata", "falloc", "full"] as const) : "none",
      };
    }
    case "flush":
    case "sync":
      return { kind };
    default:
      return { kind, offset, length };
  }
}

/** Bytes that show where they belong: incompressible, compressible, or zero. */
function pattern(random: Random, length: number): Uint8Array {
  const kind = random.between(0, 3);
  const bytes = new Uint8Array(length);
  if (kind === 0) {
    for (let at = 0; at < length; at += 4) {
      new DataView(bytes.buffer).setUint8(at, random.between(0, 255));
    }
  } else if (kind < 3) {
    bytes.fill(random.between(1, 255));
  }
  return bytes;
}

/** For messages. */
export function describeStep(step: WriteStep): string {
  switch (step.kind) {
    case "write":
    case "compress":
      return `${step.kind} ${String(step.offset)}+${String(step.bytes.length)}`;
    case "resize":
      return `resize to ${String(step.size)} (${step.preallocation})`;
    case "flush":
    case "sync":
      return step.kind;
    default:
      return `${step.kind} ${String(step.offset)}+${String(step.length)}`;
  }
}

/** The guest range that a step changes; `undefined`: none. */
export function changedRange(
  step: WriteStep,
  size: number,
): { readonly start: number; readonly end: number } | undefined {
  switch (step.kind) {
    case "write":
    case "compress":
      return { start: step.offset, end: step.offset + step.bytes.length };
    case "zero":
    case "discardToZero":
    case "discardToAny":
      return { start: step.offset, end: step.offset + step.length };
    case "resize":
      return { start: Math.min(step.size, size), end: Math.max(step.size, size) };
    case "read":
    case "flush":
    case "sync":
      return undefined;
  }
}

/** Does a step on an image. Reads are compared with the model. */
export async function performStep(image: FormatAccess<Qcow2Image>, step: WriteStep, model: ModelDisk): Promise<void> {
  switch (step.kind) {
    case "write":
      await image.write(step.bytes, step.offset);
      return;
    case "compress":
      await image.writeCompressed(step.bytes, step.offset);
      return;
    case "zero":
      await image.writeZeroes(step.offset, step.length);
      return;
    case "discardToZero":
      await image.discardToZero(step.offset, step.length);
      return;
    case "discardToAny":
      await image.discardToAny(step.offset, step.length);
      return;
    case "resize":
      await image.resize(step.size, step.preallocation);
      return;
    case "flush":
      await image.flush();
      return;
    case "sync":
      await image.flush();
      await image.sync();
      return;
    case "read": {
      const bytes = new Uint8Array(step.length);
      await image.read(bytes, step.offset);
      model.check(bytes, step.offset);
    }
  }
}

/** Does a step on the model. */
export function modelStep(model: ModelDisk, step: WriteStep): void {
  switch (step.kind) {
    case "write":
    case "compress":
      model.write(step.bytes, step.offset);
      return;
    case "zero":
    case "discardToZero":
      model.zero(step.offset, step.length);
      return;
    case "discardToAny":
      model.discardToAny(step.offset, step.length);
      return;
    case "resize":
      model.resize(step.size);
      return;
    case "read":
    case "flush":
    case "sync":
      return;
  }
}
