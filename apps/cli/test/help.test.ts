import { expect, it } from "vitest";
import { verbHelp } from "../src/help/help-text.ts";
import { verbs } from "../src/verbs/verbs.ts";

it.each(["bench", "dd", "resize"])("explains %s", (name) => {
  const verb = verbs.find((each) => each.name === name);
  expect(verb && verbHelp("img", verb)).toMatchSnapshot();
});
