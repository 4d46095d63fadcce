import type { Images } from "../../input/images.ts";
import type { Programs } from "../../run/programs.ts";
import { bareServerRun } from "../nbd.ts";
import type { Limit } from "./limit.ts";

/** Serving a raw disk, with nothing checked. */
export function nbdLimits(images: Images, programs: Programs): Limit[] {
  const reads = ["64 KiB, 4 connections", "256 KiB, 1 connection", "256 KiB, 4 connections", "1 MiB, 4 connections"];
  const of = (name: string, server: "bare-file" | "bare-memory", verify: Pick<Limit, "verify"> = {}): Limit => ({
    of: name,
    program: `a server of ${server === "bare-file" ? "a file" : "memory"}`,
    run: bareServerRun(images, programs, name, server),
    ...verify,
  });
  const both = (name: string): Limit[] => [
    of(name, "bare-file"),
    // nothing of it gets into the file
    of(name, "bare-memory", { verify: () => undefined }),
  ];
  return [
    ...both("NBD 4 KiB random reads, 4 connections, depth 16"),
    ...reads.flatMap((shape) => both(`NBD nbdcopy, reads of ${shape}`)),
    ...reads.flatMap((shape) => both(`NBD nbdcopy, writes of ${shape}`)),
  ];
}
