import type { BridgeReply, BridgeRequest } from "./bridge-call.ts";
import type { PortableError } from "./portable-error.ts";

/** What a worker needs to be the other end of a bridge. Plain data, so that it can be handed over. */
export interface WorkerSetup {
  readonly control: SharedArrayBuffer;
  readonly slots: SharedArrayBuffer;
  /** Bytes of each slot. */
  readonly slotSize: number;
}

/** What the worker's owner hears. */
interface WorkerListeners {
  onReply(reply: BridgeReply): void;
  /** There will be no more replies. */
  onEnd(reason: PortableError): void;
}

/** A location of a module: a URL object, or its text. */
export type ModuleLocation = string | { readonly href: string };

/** A running worker. */
export interface WorkerThread {
  /** @throws what can't be cloned */
  post(request: BridgeRequest): void;
  /** Whether the process is to live on for the worker's sake. At first: no. */
  hold(whether: boolean): void;
  /** Ends the worker, whatever it is doing. Resolves when it has ended. */
  stop(): Promise<void>;
}

/** Starts a worker. What it says before the listeners are there waits for them. */
export type StartWorkerThread = (
  setup: WorkerSetup,
  listeners: WorkerListeners,
  entry: ModuleLocation | undefined,
) => WorkerThread;
