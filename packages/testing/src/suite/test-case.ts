/** One case of a compliance suite. Data rather than calls of a test runner, so that it goes into any of them. */
export interface TestCase {
  /** A sentence; no two cases of a suite have the same. */
  readonly name: string;
  /** Rejects, usually with an `AssertionError`, when what is tested is wrong. Cases don't depend on each other. */
  run(): Promise<void>;
}
