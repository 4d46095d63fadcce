import worker, { type Worker } from "node:worker_threads";
import { vi } from "vitest";

/** The threads of a host that lets few start. */
export interface FewThreads extends Disposable {
  readonly started: readonly Worker[];
  /** How many were refused. */
  readonly refused: number;
}

/** Makes the host refuse threads, as it does at the limit of a user or of a control group, once it has let `most` start. */
export function fewThreads(most: number): FewThreads {
  const started: Worker[] = [];
  let refused = 0;
  class Limited extends worker.Worker {
    constructor(...args: ConstructorParameters<typeof Worker>) {
      if (started.length === most) {
        refused++;
        throw Object.assign(new Error("EAGAIN"), { code: "ERR_WORKER_INIT_FAILED" });
      }
      super(...args);
      started.push(this);
    }
  }
  const builtIn = process.getBuiltinModule.bind(process);
  const spy = vi
    .spyOn(process, "getBuiltinModule")
    .mockImplementation((id: string) => (id === "node:worker_threads" ? { ...worker, Worker: Limited } : builtIn(id)!));
  return {
    started,
    get refused() {
      return refused;
    },
    [Symbol.dispose]() {
      spy.mockRestore();
    },
  };
}
