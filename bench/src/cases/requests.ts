import { copyFileSync, existsSync, rmSync } from "node:fs";
import type { InfoJob, RequestJob } from "../children/request-job.ts";
import type { Images } from "../input/images.ts";
import type { Case, Run, Sample } from "../run/measurement.ts";
import type { Profile } from "../run/profile.ts";
import type { Programs } from "../run/programs.ts";
import { runProgram } from "../run/run-program.ts";
import { requestSizes, requestPlan, type Ground, type Order, type World } from "./request-plan.ts";

/**
 * Reads and writes of a qcow2 image in the host's cache. The time is that of the requests alone, in both; QEMU's side is `qemu-img bench`,
 * which is always asynchronous.
 */
export function requestCases(images: Images, programs: Programs): Case[] {
  const of = (ground: Ground, order: Order, length: number, world: World): Case =>
    requestCase(images, programs, { ground, order, length, world });
  const [small, middle, large] = requestSizes;
  const everySize = requestSizes.flatMap((length) =>
    (["reads", "overwrites"] as const).flatMap((ground) => worlds.map((world) => of(ground, "random", length, world))),
  );
  const policies = (["cached", "never"] as const).flatMap((blocking) =>
    (["reads", "overwrites"] as const).map((ground) =>
      of(ground, "random", small, { kind: "async", depth: 32, blocking }),
    ),
  );
  const others = (["allocating writes", "reads over backing", "writes over backing"] as const).flatMap((ground) =>
    [small, middle, large].flatMap((length) => worlds.map((world) => of(ground, "random", length, world))),
  );
  const sequential = (["reads", "overwrites", "allocating writes", "reads over backing"] as const).flatMap((ground) =>
    requestSizes.flatMap((length) => worlds.map((world) => of(ground, "sequential", length, world))),
  );
  return [...everySize, ...policies, ...others, ...sequential, ...libraryCases(images, programs)];
}

const worlds: readonly World[] = [
  { kind: "sync" },
  { kind: "async", depth: 1 },
  { kind: "async", depth: 8 },
  { kind: "async", depth: 32 },
];

interface Shape {
  readonly ground: Ground;
  readonly order: Order;
  readonly length: number;
  readonly world: World;
}

function requestCase(images: Images, programs: Programs, shape: Shape): Case {
  const { ground, order, length, world } = shape;
  const depth = world.kind === "sync" ? 32 : world.depth;
  const blocking = world.kind === "sync" ? undefined : world.blocking;
  const plan = requestPlan(images.size, { ground, order, length, depth });
  const how = world.kind === "sync" ? "sync (QEMU: depth 32)" : `async, depth ${String(depth)}`;
  const write = !ground.startsWith("reads");
  const job = (warmUp: number): Omit<RequestJob, "path"> => ({
    ...{ kind: "requests", write, world: world.kind, depth, length, step: plan.step, count: plan.count, warmUp },
    ...(blocking === undefined ? {} : { blocking }),
  });
  const target = targetOf(shape);
  return {
    group: "requests",
    name: `${sizeName(length)} ${order} ${ground}, ${how}${blocking === undefined ? "" : `, blocking ${blocking}`}`,
    profile: profileOf(shape),
    ...(target === undefined ? {} : { target }),
    ours: ours(programs, () => ({ ...job(plan.warmUp), path: imageFor(images, ground) })),
    theirs: (warmUp) => qemuBench(imageFor(images, ground), write, { ...plan, depth, length }, warmUp),
    ...(write ? { verify: () => checkTables(images.path("written.qcow2"), ground) } : {}),
    after: () => {
      if (ground === "allocating writes" || ground === "writes over backing") {
        rmSync(images.path("written.qcow2"), { force: true });
      }
    },
  };
}

/** @throws Error when our writes have left an image that QEMU finds something wrong with */
function checkTables(written: string, ground: Ground): void {
  if (ground !== "overwrites") {
    runProgram("qemu-img", ["check", "-q", "-f", "qcow2", written]);
  }
}

function sizeName(length: number): string {
  return length < 2 ** 20 ? `${String(length / 1024)} KiB` : `${String(length / 2 ** 20)} MiB`;
}

/** Targets are set for requests of 4 KiB to places that are far from each other, the library's own way of asking the host. */
function targetOf({ ground, order, length, world }: Shape): number | undefined {
  const depth = world.kind === "sync" ? 32 : world.depth;
  if (length !== 4096 || order !== "random" || depth !== 32 || (world.kind === "async" && world.blocking === "never")) {
    return undefined;
  }
  switch (ground) {
    case "reads":
    case "overwrites":
      return world.kind === "sync" ? 1 / 5 : 1 / 2;
    case "allocating writes":
      return 1 / 3;
    case "reads over backing":
    case "writes over backing":
      return undefined;
  }
}

function profileOf(shape: Shape): Profile {
  const { ground, order, length, world } = shape;
  if (targetOf(shape) !== undefined && (world.kind === "sync" || world.blocking === undefined)) {
    return "quick";
  }
  const isPlain = ground === "reads" || ground === "overwrites";
  const isDeep = world.kind === "async" && world.depth === 32;
  if (order === "sequential") {
    return (length === 2 ** 20 && isDeep) || (length === 4096 && isDeep && ground === "reads") ? "default" : "full";
  }
  if (isPlain) {
    return length === 4096 || world.kind === "sync" || isDeep ? "default" : "full";
  }
  return (length === 4096 && (isDeep || world.kind === "sync")) || isDeep ? "default" : "full";
}

/** The image that requests go to. Those that allocate need a new one each time; the others leave everything where it is. */
function imageFor(images: Images, ground: Ground): string {
  const path = images.path("written.qcow2");
  switch (ground) {
    case "reads":
      return images.qcow2("full");
    case "reads over backing":
      return images.emptyOverlay();
    case "overwrites": {
      const overwritten = images.path("overwritten.qcow2");
      if (!existsSync(overwritten)) {
        copyFileSync(images.qcow2("full"), overwritten);
      }
      return overwritten;
    }
    case "allocating writes":
      runProgram("qemu-img", ["create", "-q", "-f", "qcow2", path, "4G"]);
      return path;
    case "writes over backing":
      runProgram("qemu-img", ["create", "-q", "-f", "qcow2", "-b", images.qcow2("full"), "-F", "qcow2", path]);
      return path;
  }
}

function ours(programs: Programs, job: () => RequestJob | InfoJob): Run {
  return (warmUp): Sample => {
    const program = programs.child("requests");
    const run = runProgram(process.execPath, [program, JSON.stringify(job())], { capture: true, memory: warmUp });
    const { wall, cpu } = JSON.parse(run.output) as { wall: number; cpu: number };
    return { wall, cpu, ...(run.memory === undefined ? {} : { memory: run.memory }) };
  };
}

function qemuBench(
  path: string,
  write: boolean,
  { count, depth, length, step }: { count: number; depth: number; length: number; step: number },
  warmUp: boolean,
): Sample {
  const words = ["bench", ...(write ? ["-w"] : []), "-f", "qcow2", "-c", String(count), "-d", String(depth)];
  const { output, cpu, memory } = runProgram(
    "qemu-img",
    [...words, "-s", String(length), "-S", String(step), "-t", "writeback", path],
    { capture: true, memory: warmUp },
  );
  const seconds = /Run completed in ([\d.]+) seconds/.exec(output)?.[1];
  if (seconds === undefined) {
    throw new Error(`qemu-img bench: no time in ${JSON.stringify(output)}`);
  }
  return {
    // it tells milliseconds
    wall: Math.max(Number(seconds), 0.001),
    ...(cpu === undefined ? {} : { cpu }),
    ...(memory === undefined ? {} : { memory }),
  };
}

/** One call of the library, measured over many, against the time that it should take at most. */
function libraryCases(images: Images, programs: Programs): Case[] {
  return (["sync", "async"] as const).map((world) => ({
    group: "commands",
    name: `info as a library call, ${world} (against 1 ms)`,
    profile: "quick",
    target: 1,
    ours: ours(programs, () => ({ kind: "info", path: images.qcow2("plain"), world, count: 200 })),
    theirs: () => ({ wall: 0.001 }),
  }));
}
