import type { FormatAccess, Io } from "@img/format-core";

/**
 * Runs `body`, then closes `images`, whatever happened. When `body` fails, that failure is what is thrown, not one of closing.
 *
 * @param images - all that are in the list when `body` has ended
 * @throws what `body` throws; else the first failure of closing, after everything else is closed, too
 */
export function* withImages<T>(images: readonly FormatAccess[], body: () => Io<T>): Io<T> {
  let result: T;
  try {
    result = yield* body();
  } catch (error) {
    yield* closeAll(images);
    throw error;
  }
  const [failure] = yield* closeAll(images);
  if (failure !== undefined) {
    throw failure.error;
  }
  return result;
}

function* closeAll(images: readonly FormatAccess[]): Io<readonly { readonly error: unknown }[]> {
  const failures: { readonly error: unknown }[] = [];
  for (const image of images) {
    try {
      yield* image.io.close();
    } catch (error) {
      failures.push({ error });
    }
  }
  return failures;
}
