import type { PreparedWrite } from "../format/driver.ts";
import type { Io } from "../io/io.ts";

/** Fills a prepared range by `body` and commits it; when that fails, aborts it. */
export function* commitAfter(prepared: PreparedWrite, body: () => Io<void>): Io<void> {
  try {
    yield* body();
  } catch (error) {
    prepared.abort();
    throw error;
  }
  prepared.commit();
}
