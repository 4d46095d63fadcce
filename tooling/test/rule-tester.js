import { RuleTester } from "@typescript-eslint/rule-tester";
import { join } from "node:path";
import { afterAll, describe, it } from "vitest";

RuleTester.afterAll = afterAll;
RuleTester.describe = describe;
RuleTester.it = it;
RuleTester.itOnly = it.only;

const fixture = join(import.meta.dirname, "fixture");

/** Where the tester pretends that its code lies. */
export const fixtureFile = join(fixture, "src", "file.ts");

/** A tester whose rules see types. */
export function typedRuleTester() {
  return new RuleTester({
    languageOptions: {
      parserOptions: { projectService: { allowDefaultProject: [] }, tsconfigRootDir: fixture },
    },
  });
}
