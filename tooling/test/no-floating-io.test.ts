import { noFloatingIo } from "../eslint/rules/no-floating-io.js";
import { fixtureFile, typedRuleTester } from "./rule-tester.js";

const PRELUDE = `
interface Step<T = unknown> { readonly label: string; async(): T | Promise<T> }
type Io<T> = Generator<Step, T, unknown>;
declare function load(index: number): Io<number>;
declare function store(): Io<void>;
declare const step: Step<number>;
declare const maybe: { load(): Io<void> } | undefined;
declare function run<T>(io: Io<T>): Promise<T>;
declare function later(callback: () => void): void;
declare function later2(callback: (() => void) | undefined): void;
declare function every<T>(operations: Iterable<Io<T>>): Io<T[]>;
declare function retry<T>(make: () => Io<T>): Io<T>;
declare const condition: boolean;
declare function numbers(): Generator<number, void, unknown>;
`;

const inIo = (body: string): string => `${PRELUDE}\nfunction* example(): Io<void> {\n${body}\n}\nvoid run(example());`;
const valid = (name: string, body: string): { name: string; filename: string; code: string } => ({
  name,
  filename: fixtureFile,
  code: inIo(body),
});

type MessageId = "floating" | "ignoredByCallee" | "bareYieldOfIo" | "bareYieldOfStep";
const invalid = (
  name: string,
  body: string,
  ...messageIds: MessageId[]
): { name: string; filename: string; code: string; errors: { messageId: MessageId }[] } => ({
  ...valid(name, body),
  errors: messageIds.map((messageId) => ({ messageId })),
});

typedRuleTester().run("no-floating-io", noFloatingIo, {
  valid: [
    valid("an Io that is delegated to", "yield* store(); const n = yield* load(1); yield* load(n);"),
    valid("an Io that is kept and driven later", "const io = load(1); yield* io;"),
    valid("an Io that is assigned", "let io: Io<number>; io = load(1); yield* io;"),
    valid("an Io that is passed on", "yield* every([load(1), load(2)]);"),
    valid("an Io that a callback gives to somebody who drives it", "yield* retry(() => load(1));"),
    valid("a promise of a driven Io", "void run(load(1));"),
    valid("a callback that drives its Io", "later(() => { void run(store()); });"),
    valid("a generator of other things", "numbers(); later(() => numbers()); yield* every([]);"),
    {
      ...valid("a bare yield of a number", ""),
      code: `${PRELUDE}\nfunction* count() { yield 1; }\nfor (const n of count()) n;`,
    },
    {
      ...valid("a bare yield of a step in the runner's own files", "const n = (yield step) as number; yield* load(n);"),
      options: [{ bareYield: true }],
    },
  ],
  invalid: [
    invalid("a call whose Io is dropped", "store();", "floating"),
    invalid("an Io in a variable that is only mentioned", "const io = load(1); io;", "floating"),
    invalid("an Io behind void", "void store();", "floating"),
    invalid("an awaited Io", "yield* store(); async function wrong() { await store(); }", "floating"),
    invalid("an optional call", "maybe?.load();", "floating"),
    invalid("one branch of a condition", "condition ? store() : undefined;", "floating"),
    invalid("the right side of a logical expression", "condition && store();", "floating"),
    invalid("a part of a sequence", "store(), yield* load(1);", "floating"),
    invalid("an unused part of a used sequence", "const n = (store(), 1); yield* load(n);", "floating"),
    invalid("a list of operations", "[1, 2].map((index) => load(index));", "floating"),
    invalid("a callback for somebody who ignores results", "later(() => store());", "ignoredByCallee"),
    invalid(
      "a generator function as such a callback",
      "later(function* (): Io<void> { yield* store(); });",
      "ignoredByCallee",
    ),
    invalid("an optional callback", "later2(() => load(1));", "ignoredByCallee"),
    invalid("forEach over operations", "[1, 2].forEach((index) => load(index));", "ignoredByCallee"),
    invalid("a bare yield of an Io", "yield load(1);", "bareYieldOfIo"),
    invalid("a bare yield of a step", "yield step;", "bareYieldOfStep"),
  ],
});
