import { infoImageFile, infoImageFileSync, openImage } from "@img/operations/node";
import { SyncFormatAccess } from "@img/sync";
import type { FormatAccess } from "@img/format-core";
import type { Job, RequestJob } from "./request-job.ts";

/** What is measured inside of our library, in a process of its own: `requests JOB`, as JSON. Prints what it took, as JSON. */
const job = JSON.parse(process.argv[2] ?? "") as Job;

/** Measures from here to the call. */
function stopwatch(): () => { wall: number; cpu: number } {
  const cpu = process.cpuUsage();
  const began = process.hrtime.bigint();
  return () => {
    const wall = Number(process.hrtime.bigint() - began) / 1e9;
    const { user, system } = process.cpuUsage(cpu);
    return { wall, cpu: (user + system) / 1e6 };
  };
}

async function sendRequests(what: RequestJob): Promise<{ wall: number; cpu: number }> {
  const { path, world, blocking } = what;
  await using image = await openImage({
    path,
    format: "qcow2",
    writable: what.write,
    gate: "allow-all",
    // no flush is timed, and waiting for the disk at the end would only take long
    durable: false,
    ...(blocking === undefined ? {} : { blocking }),
  });
  // memory is asked for before the clock runs, as QEMU's benchmark does it
  const buffers = Array.from({ length: world === "sync" ? 1 : what.depth }, () => new Uint8Array(what.length).fill(1));
  const send = async (first: number, count: number): Promise<void> => {
    if (world === "sync") {
      sendSync(image, what, buffers, first, count);
    } else {
      await sendAsync(image, what, buffers, first, count);
    }
  };
  await send(0, what.warmUp);
  const stop = stopwatch();
  await send(what.warmUp, what.count);
  return stop();
}

function sendSync(
  image: FormatAccess,
  { write, step }: RequestJob,
  [buffer = new Uint8Array()]: readonly Uint8Array[],
  first: number,
  count: number,
): void {
  const synchronous = new SyncFormatAccess(image);
  const { size } = image;
  for (let index = first; index < first + count; index++) {
    if (write) {
      synchronous.write(buffer, (index * step) % size);
    } else {
      synchronous.read(buffer, (index * step) % size);
    }
  }
}

async function sendAsync(
  image: FormatAccess,
  { write, step }: RequestJob,
  buffers: readonly Uint8Array[],
  first: number,
  count: number,
): Promise<void> {
  const { size } = image;
  let next = first;
  const lane = async (buffer: Uint8Array): Promise<void> => {
    while (next < first + count) {
      const offset = (next++ * step) % size;
      await (write ? image.write(buffer, offset) : image.read(buffer, offset));
    }
  };
  await Promise.all(buffers.map(lane));
}

async function describe(path: string, count: number, sync: boolean): Promise<{ wall: number; cpu: number }> {
  const spec = { path, format: "qcow2" } as const;
  let stop = stopwatch();
  // the first half warms up
  for (let index = 0; index < 2 * count; index++) {
    if (index === count) {
      stop = stopwatch();
    }
    if (sync) {
      infoImageFileSync(spec);
    } else {
      await infoImageFile(spec);
    }
  }
  const { wall, cpu } = stop();
  return { wall: wall / count, cpu: cpu / count };
}

const figures =
  job.kind === "requests" ? await sendRequests(job) : await describe(job.path, job.count, job.world === "sync");
process.stdout.write(`${JSON.stringify(figures)}\n`);
