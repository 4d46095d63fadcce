import type { ServedFile } from "./page-server.ts";

/** Makes the symbols of disposing unknown to a program, as they are to browsers that are some years old. */
const takeAway = `{
  const real = globalThis.Symbol;
  const old = (description) => real(description);
  for (const name of Object.getOwnPropertyNames(real)) {
    if (!["dispose", "asyncDispose", "length", "name"].includes(name)) {
      Object.defineProperty(old, name, { value: real[name], configurable: true, writable: true });
    }
  }
  globalThis.Symbol = old;
}
if (Symbol.dispose !== undefined) throw new Error("Symbol.dispose is still there");
`;

/** What such browsers need before our packages are loaded; it stands so in the README. */
export const disposeSymbols = `Symbol.dispose ??= Symbol.for("Symbol.dispose");
Symbol.asyncDispose ??= Symbol.for("Symbol.asyncDispose");
`;

/** A program as it runs in a browser without these symbols, after whoever serves it has defined them. */
export function withoutDispose({ type, body }: ServedFile): ServedFile {
  return { type, body: Buffer.concat([Buffer.from(takeAway), Buffer.from(disposeSymbols), body]) };
}
