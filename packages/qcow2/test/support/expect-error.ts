import { ImgError } from "@img/format-core";
import { expect } from "vitest";

/** Runs what has to fail with an `ImgError` of this code and message, and gives the error. */
export async function expectImgError(code: string, message: RegExp | string, run: () => unknown): Promise<ImgError> {
  let failure: unknown;
  try {
    await run();
  } catch (error) {
    failure = error;
  }
  expect(failure, `expected ${code}`).toBeInstanceOf(ImgError);
  const error = failure as ImgError;
  expect(error.code, error.message).toBe(code);
  if (typeof message === "string") {
    expect(error.message).toContain(message);
  } else {
    expect(error.message).toMatch(message);
  }
  return error;
}
