/** Stands in for what `node:os` and `node:util` know about errors: browsers know no numbers. */
export const constants = { errno: {} } as const;

/** No number has a text. */
export function getSystemErrorMap(): ReadonlyMap<number, readonly [string, string]> {
  return new Map();
}
