import { StorageDecorator } from "./storage-decorator.ts";
import type { Storage } from "./storage.ts";

/**
 * A storage with a tag, so that whoever sees it in a mapping knows which of his it is. Everything else is the inner storage's.
 */
export class AnnotatedStorage<T, S extends Storage = Storage> extends StorageDecorator<S> {
  /** Whatever the owner wants to find again. May be replaced at any time. */
  tag: T;

  constructor(inner: S, tag: T) {
    super(inner);
    this.tag = tag;
  }

  /** `annotated(tag)[inner]`. */
  override get label(): string {
    return `annotated(${String(this.tag)})[${this.inner.label}]`;
  }
}
