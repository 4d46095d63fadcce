import { openSync, read, readSync, write, writeSync } from "node:fs";

/** What a bare program asks of a file. Prints seconds, as JSON. */
export interface BareRequests {
  readonly path: string;
  readonly write: boolean;
  /** Requests at a time in the thread pool; 0: one after the other, without it. */
  readonly depth: number;
  /** Bytes of each request. */
  readonly length: number;
  /** Bytes from the start of one request to that of the next; behind `size`, it goes on from the start. */
  readonly step: number;
  readonly size: number;
  /** Requests that are measured, and those before them. */
  readonly count: number;
  readonly warmUp: number;
}

const job = JSON.parse(process.argv[2] ?? "") as BareRequests;
const fd = openSync(job.path, job.write ? "r+" : "r");
const buffer = new Uint8Array(job.length).fill(1);

function sendSync(first: number, count: number): void {
  const { write, length, step, size } = job;
  for (let index = first; index < first + count; index++) {
    if (write) {
      writeSync(fd, buffer, 0, length, (index * step) % size);
    } else {
      readSync(fd, buffer, 0, length, (index * step) % size);
    }
  }
}

function sendToPool(first: number, count: number, ready: () => void): void {
  let [next, left] = [first, count];
  const send = (own: Uint8Array): void => {
    const offset = (next++ * job.step) % job.size;
    const done = (error: unknown): void => {
      if (error !== null) {
        throw error as Error;
      }
      if (--left === 0) {
        ready();
      } else if (next < first + count) {
        send(own);
      }
    };
    if (job.write) {
      write(fd, own, 0, job.length, offset, done);
    } else {
      read(fd, own, 0, job.length, offset, done);
    }
  };
  for (let lane = 0; lane < Math.min(job.depth, count); lane++) {
    send(new Uint8Array(job.length).fill(1));
  }
}

function send(first: number, count: number, ready: () => void): void {
  if (job.depth === 0) {
    sendSync(first, count);
    ready();
  } else {
    sendToPool(first, count, ready);
  }
}

send(0, job.warmUp, () => {
  const [before, began] = [process.cpuUsage(), process.hrtime.bigint()];
  send(job.warmUp, job.count, () => {
    const wall = Number(process.hrtime.bigint() - began) / 1e9;
    const { user, system } = process.cpuUsage(before);
    process.stdout.write(`${JSON.stringify({ wall, cpu: (user + system) / 1e6 })}\n`);
  });
});
