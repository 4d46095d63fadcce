import { copyFileSync, existsSync } from "node:fs";
import type { BareRequests } from "../../children/bare/requests.ts";
import type { Images } from "../../input/images.ts";
import type { Run, Sample } from "../../run/measurement.ts";
import type { Programs } from "../../run/programs.ts";
import { runProgram } from "../../run/run-program.ts";
import { requestPlan } from "../request-plan.ts";
import type { Limit } from "./limit.ts";

/** The same requests to a raw file in the host's cache. */
export function requestLimits(images: Images, programs: Programs): Limit[] {
  const of = (ground: "reads" | "overwrites", depth: number, name: string, program: string): Limit => ({
    of: `4 KiB random ${ground}, ${name}`,
    program,
    run: requests(programs, () => {
      const { step, count, warmUp } = requestPlan(images.size, { ground, order: "random", length: 4096, depth: 32 });
      const path = ground === "reads" ? images.raw("full") : overwritten(images);
      const write = ground === "overwrites";
      return { path, write, depth, length: 4096, step, size: images.size * 2 ** 20, count, warmUp };
    }),
    verify: () => undefined,
  });
  const [sync, pool] = ["sync (QEMU: depth 32)", "async, depth 32, blocking cached"];
  return [
    of("reads", 0, sync, "readSync of a raw file"),
    of("overwrites", 0, sync, "writeSync to a raw file"),
    of("overwrites", 32, pool, "fs.write to a raw file, 32 at a time"),
  ];
}

function requests(programs: Programs, job: () => BareRequests): Run {
  return (warmUp): Sample => {
    const words = [programs.bareProgram("requests"), JSON.stringify(job())];
    const run = runProgram(process.execPath, words, { capture: true, memory: warmUp });
    const { wall, cpu } = JSON.parse(run.output) as { wall: number; cpu: number };
    return { wall, cpu, ...(run.memory === undefined ? {} : { memory: run.memory }) };
  };
}

/** A disk without holes that may be overwritten. */
function overwritten(images: Images): string {
  const path = images.path("overwritten.raw");
  if (!existsSync(path)) {
    copyFileSync(images.raw("full"), path);
  }
  return path;
}
