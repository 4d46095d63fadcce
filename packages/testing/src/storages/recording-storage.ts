import { IoVector } from "@img/io-vector";
import {
  InterceptingStorage,
  isPromise,
  isSyncStorage,
  MemoryStorage,
  type MaybePromise,
  type Storage,
  type StorageCall,
} from "@img/format-core";
import { operationOfCall } from "../recording/recorded-operation.ts";
import { Recording, type CrashOptions, type RecordedEntry } from "../recording/recording.ts";

/** Options of {@link RecordingStorage}. */
export interface RecordingStorageOptions {
  /** The recording that the storage joins. Default: one of its own. */
  readonly recording?: Recording;
  /** What the storage holds now. Default: it is read, for which the storage needs its synchronous facet unless it is empty. */
  readonly initial?: Uint8Array;
}

/**
 * Records everything that a storage is told to change, to replay power cuts. Put it right around the storage that keeps the bytes: what a decorator
 * underneath changes isn't seen.
 */
export class RecordingStorage<S extends Storage = Storage> extends InterceptingStorage<S> {
  readonly recording: Recording;
  readonly #number: number;

  /** @throws TypeError when the contents are neither given nor to be had at once */
  constructor(inner: S, options: RecordingStorageOptions = {}) {
    super(inner);
    this.recording = options.recording ?? new Recording();
    this.#number = this.recording.join(new MemoryStorage(options.initial ?? contentsOf(inner)));
  }

  /** {@link Recording.states} of this storage alone. */
  *states(options?: CrashOptions): Generator<MemoryStorage, void, undefined> {
    for (const { storages } of this.recording.states(options)) {
      yield* storages.slice(this.#number, this.#number + 1);
    }
  }

  protected override intercept<T>(call: StorageCall, proceed: () => MaybePromise<T>): MaybePromise<T> {
    const entry = this.#begin(call);
    const answer = proceed();
    if (!isPromise(answer)) {
      this.#end(entry);
      return answer;
    }
    return answer.then((value) => {
      this.#end(entry);
      return value;
    });
  }

  protected override interceptSync<T>(call: StorageCall, proceed: () => T): T {
    const entry = this.#begin(call);
    const answer = proceed();
    this.#end(entry);
    return answer;
  }

  #begin(call: StorageCall): RecordedEntry | undefined {
    const operation = operationOfCall(call);
    return operation === undefined ? undefined : this.recording.begin(this.#number, operation);
  }

  #end(entry: RecordedEntry | undefined): void {
    if (entry !== undefined) {
      this.recording.end(entry);
    }
  }
}

function contentsOf(storage: Storage): Uint8Array {
  const contents = new Uint8Array(storage.size);
  if (isSyncStorage(storage)) {
    storage.readSync(IoVector.from(contents), 0);
  } else if (storage.size > 0) {
    throw new TypeError(`${storage.label}: give its contents, because they can't be read at once`);
  }
  return contents;
}
