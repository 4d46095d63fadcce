import { internalErrorCode } from "../errors/report-error.ts";
import type { Verb } from "../verbs/verb.ts";

/** What each exit code of a verb means, those that all verbs have included. */
export function exitCodesOf({ exitCodes = [] }: Verb): readonly (readonly [code: number, meaning: string])[] {
  const failure = exitCodes.some(([code]) => code === 1) ? [] : [[1, "failure"] as const];
  return [
    [0, "success"],
    ...failure,
    ...exitCodes,
    [internalErrorCode, "an internal error: a mistake in the program"],
    [130, "interrupted; nothing half done was left behind"],
  ];
}
