import type { PreparedThread } from "@img/operations/node";

/** Bytes of bytecode that a function runs through until V8 looks whether to optimize it: what Node 20 takes, and what is better here. */
const budgets = { usual: 66 * 1024, later: 600_000 };

let isAsked = false;

/**
 * Has V8 wait longer before it optimizes a function. What moves data has little code that runs a second or two: optimizing it takes the processors
 * longer than it gains, and they have data to move, check or decompress. Compare and decompress take a tenth less time so.
 * A thread that is just being started would take longer, since Node's own compiled code is for the usual settings: they stay until it has begun.
 *
 * Only Node 20 needs it: later ones optimize in steps, the first of which costs little. It does nothing where V8 has another number. To be called by a verb
 * when it begins: code that was compiled with other settings isn't used.
 *
 * @param prepared - the thread that is being started, if there is one
 */
export function optimizeLater(prepared?: PreparedThread): void {
  if (isAsked || Number.parseInt(process.versions.node, 10) !== 20) {
    return;
  }
  isAsked = true;
  if (prepared === undefined) {
    changeSettings();
  } else {
    prepared.whenBegun(changeSettings);
  }
}

function changeSettings(): void {
  const { cachedDataVersionTag, setFlagsFromString } = process.getBuiltinModule("node:v8");
  const setBudget = (budget: number): void => {
    setFlagsFromString(`--interrupt-budget=${String(budget)}`);
  };
  const before = cachedDataVersionTag();
  setBudget(budgets.usual);
  if (cachedDataVersionTag() !== before) {
    return;
  }
  setBudget(budgets.later);
  // first of all at the end: compiled code that is kept is marked with the settings of that moment
  process.prependOnceListener("exit", () => {
    setBudget(budgets.usual);
  });
}
