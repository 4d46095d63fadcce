import { ImgError, wrapHostError, type Storage } from "@img/format-core";
import type { BridgeAnswer, BridgeReply, BridgeRequest, ModuleFunction, StorageFacts } from "./bridge-call.ts";
import { HostedStorage } from "./hosted-storage.ts";
import { packError } from "./portable-error.ts";
import type { SharedControl } from "./shared-control.ts";
import type { Slots } from "./slots.ts";

/** The worker's end of a bridge: opens storages, calls them, and answers. */
export class BridgeHost {
  readonly #control: SharedControl;
  readonly #slots: Slots;
  readonly #reply: (reply: BridgeReply) => void;
  readonly #storages = new Map<number, HostedStorage>();
  #opened = 0;
  #sequence = 0;

  /** @param reply - sends a message to the other side */
  constructor(control: SharedControl, slots: Slots, reply: (reply: BridgeReply) => void) {
    this.#control = control;
    this.#slots = slots;
    this.#reply = reply;
  }

  /** Does what is asked for, and answers: in shared memory if the other side is blocked, or by a message. Never rejects. */
  async handle({ id, call }: BridgeRequest): Promise<void> {
    let outcome: Pick<BridgeAnswer, "value" | "error">;
    try {
      outcome = { value: await this.#perform(call) };
    } catch (error) {
      outcome = { error: packError(error) };
    }
    const size = "storage" in call ? this.#storages.get(call.storage)?.storage.size : undefined;
    const answer = { ...outcome, sequence: ++this.#sequence, size };
    if (id === 0) {
      this.#control.answer(answer);
    } else {
      this.#control.countReply();
      this.#reply({ id, answer });
    }
  }

  async #perform(call: BridgeRequest["call"]): Promise<unknown> {
    switch (call.method) {
      case "open":
        return this.#open(call);
      case "canonical":
        return checkLocation(await callExport(call), call);
      case "check":
        await findExport(call);
        return undefined;
      default: {
        const hosted = this.#storages.get(call.storage);
        if (hosted === undefined) {
          throw new ImgError("ERR_IMG_CLOSED", `storage ${String(call.storage)} of the bridge is closed`);
        }
        const value = await hosted.perform(call);
        if (call.method === "close") {
          this.#storages.delete(call.storage);
        }
        return value;
      }
    }
  }

  async #open(call: ModuleFunction): Promise<StorageFacts> {
    const hosted = new HostedStorage(checkStorage(await callExport(call), call), this.#slots);
    const facts = hosted.facts(++this.#opened);
    if (facts.limits.request > this.#slots.size) {
      await hosted.storage[Symbol.asyncDispose]();
      throw new ImgError(
        "ERR_IMG_LIMIT",
        `${facts.label} wants requests of ${String(facts.limits.request)} bytes: expected at most the bridge's bufferSize, ${String(this.#slots.size)}`,
        { subject: facts.label },
      );
    }
    this.#storages.set(facts.id, hosted);
    return facts;
  }
}

async function callExport(call: ModuleFunction): Promise<unknown> {
  const { specifier, name, argument } = call;
  const found = await findExport(call);
  try {
    return await found(argument);
  } catch (error) {
    throw wrapHostError(error, `${specifier}: ${name} failed`, specifier);
  }
}

async function findExport(call: ModuleFunction): Promise<(argument: unknown) => unknown> {
  const { specifier, name } = call;
  let found: unknown;
  try {
    found = ((await import(/* @vite-ignore */ specifier)) as Readonly<Record<string, unknown>>)[name];
  } catch (error) {
    throw importFailure(error, specifier);
  }
  if (typeof found !== "function") {
    const message = `${specifier}: expected an export ${JSON.stringify(name)} that is a function, found ${typeof found}`;
    throw call.method === "canonical" ? unsupported(message, specifier) : new TypeError(message);
  }
  return found as (argument: unknown) => unknown;
}

function checkStorage(value: unknown, { specifier, name }: ModuleFunction): Storage {
  const methods = ["read", "write", "flush", "sync", Symbol.asyncDispose] as const;
  const isStorage =
    typeof value === "object" &&
    value !== null &&
    "limits" in value &&
    methods.every((method) => typeof (value as Partial<Storage>)[method] === "function");
  if (!isStorage) {
    throw new TypeError(`${specifier}: expected ${name} to give a Storage, found ${String(value)}`);
  }
  return value as Storage;
}

function checkLocation(value: unknown, { specifier, name }: ModuleFunction): string {
  if (typeof value !== "string") {
    throw new TypeError(`${specifier}: expected ${name} to give a location, found ${typeof value}`);
  }
  return value;
}

function unsupported(message: string, subject: string): ImgError {
  return new ImgError("ERR_IMG_UNSUPPORTED", message, { subject });
}

/** Whatever class the error has: the caller wants to hear what was being done. */
function importFailure(error: unknown, specifier: string): unknown {
  const { details, message } = packError(error);
  const code = typeof details["code"] === "string" ? details["code"] : "EIO";
  return new ImgError(code, `cannot import ${specifier}: ${message}`, { cause: error, subject: specifier });
}
