import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { changesetProblems } from "../src/changeset-problems.ts";
import { FixtureRepository } from "./support/fixture-repository.ts";

const REPORT = "api/sums.api.md";
const NOBODY_SAYS = [
  expect.stringMatching(
    /^the interface of @img\/sums has changed since [0-9a-f]{10}, and no changeset says so; run npm/,
  ),
];

let repository: FixtureRepository;
const problems = (base?: string): string[] => changesetProblems(repository.root, base);

beforeEach(() => {
  repository = new FixtureRepository();
  repository.write(REPORT, "two numbers");
  repository.changeset("old", "sums", "Sums, for the first time");
  repository.commit("start");
});
afterEach(() => {
  repository[Symbol.dispose]();
});

describe("a recorded interface that has changed", () => {
  test("fails without a changeset, before and after it is committed", () => {
    expect(problems()).toEqual([]);
    repository.write(REPORT, "three numbers");
    expect(problems()).toEqual(NOBODY_SAYS);
    repository.commit("change");
    expect(problems()).toEqual(NOBODY_SAYS);
    repository.commit("something else");
    expect(problems()).toEqual(NOBODY_SAYS);
    repository.changeset("new", "sums", "Adds three numbers");
    expect(problems()).toEqual([]);
    repository.commit("describe it");
    expect(problems()).toEqual([]);
  });

  test("passes with a changeset that was committed before it was recorded", () => {
    repository.changeset("new", "sums", "Adds three numbers");
    repository.commit("describe it");
    repository.commit("something else");
    repository.write(REPORT, "three numbers");
    expect(problems()).toEqual([]);
    repository.commit("change");
    expect(problems()).toEqual([]);
    // That changeset has been used: the next change needs words of its own.
    repository.write(REPORT, "four numbers");
    expect(problems()).toEqual(NOBODY_SAYS);
  });

  test("passes when what was said has been released, and the next one doesn't", () => {
    repository.write("packages/sums/CHANGELOG.md", "# @img/sums\n");
    repository.write(REPORT, "three numbers");
    repository.changeset("new", "sums", "Adds three numbers");
    repository.commit("change");
    repository.remove(".changeset");
    expect(problems()).toEqual(NOBODY_SAYS);
    repository.write("packages/sums/CHANGELOG.md", "# @img/sums\n\n## 1.1.0\n\nAdds three numbers\n");
    expect(problems()).toEqual([]);
    repository.commit("release");
    expect(problems()).toEqual([]);
    repository.write(REPORT, "four numbers");
    repository.commit("change");
    repository.write("packages/others/CHANGELOG.md", "# @img/others\n\n## 1.1.0\n\nAnything\n");
    repository.commit("release others");
    expect(problems()).toEqual(NOBODY_SAYS);
  });

  test("passes for an interface that was recorded once and released since", () => {
    repository.remove(".changeset");
    repository.write("packages/sums/CHANGELOG.md", "# @img/sums\n\n## 1.0.0\n\nSums, for the first time\n");
    repository.commit("release");
    expect(problems()).toEqual([]);
  });

  test("fails with a changeset that names others, or nothing to be released", () => {
    repository.write(REPORT, "three numbers");
    repository.changeset("new", "others", "Something");
    expect(problems()).toEqual(NOBODY_SAYS);
    repository.changeset("new", "sums", "Nothing", "none");
    expect(problems()).toEqual(NOBODY_SAYS);
    repository.write(".changeset/new.md", `---\n"@img/others": minor\n---\n\n"@img/sums": minor\n`);
    expect(problems()).toEqual(NOBODY_SAYS);
  });

  test("passes with a new changeset that names the package, before and after it is committed", () => {
    repository.write(REPORT, "three numbers");
    repository.changeset("new", "sums", "Adds three numbers");
    expect(problems()).toEqual([]);
    repository.commit("change");
    expect(problems()).toEqual([]);
  });

  test("passes when a changeset that was there says more now", () => {
    repository.write(REPORT, "three numbers");
    repository.changeset("old", "sums", "Sums of two or three numbers");
    expect(problems()).toEqual([]);
  });

  test("is asked for by package, whichever of its ways in has changed", () => {
    repository.write("api/sums.node.api.md", "files of numbers");
    repository.write(REPORT, "three numbers");
    expect(problems()).toEqual(NOBODY_SAYS);
    repository.write("api/README.md", "not a report");
    repository.changeset("new", "sums", "Adds three numbers");
    expect(problems()).toEqual([]);
  });

  test("is compared with where a branch left main, however many commits ago", () => {
    repository.git("checkout", "--quiet", "-b", "feature");
    repository.write(REPORT, "three numbers");
    repository.commit("change");
    repository.commit("something else");
    expect(problems()).toEqual(NOBODY_SAYS);
    // What happens on main meanwhile is no change of the branch.
    repository.git("checkout", "--quiet", "main");
    repository.changeset("meanwhile", "sums", "Something else");
    repository.commit("meanwhile");
    repository.git("checkout", "--quiet", "feature");
    expect(problems()).toEqual(NOBODY_SAYS);
    repository.changeset("new", "sums", "Adds three numbers");
    repository.commit("describe it");
    expect(problems()).toEqual([]);
  });

  test("is compared with what has been pushed, not only with the last commit", () => {
    repository.git("update-ref", "refs/remotes/origin/main", "HEAD");
    repository.write(REPORT, "three numbers");
    repository.commit("change");
    repository.commit("something else");
    expect(problems()).toEqual(NOBODY_SAYS);
  });

  test("is compared with a commit that somebody names", () => {
    repository.write(REPORT, "three numbers");
    repository.commit("change");
    repository.commit("something else");
    expect(problems("HEAD")).toEqual([]);
    expect(problems("HEAD~2")).toEqual(NOBODY_SAYS);
    expect(problems()).toEqual(NOBODY_SAYS);
    expect(() => problems("no-such-branch")).toThrow("no-such-branch: no such commit");
  });

  test("is found where the workspace is only a part of the repository", () => {
    const outer = new FixtureRepository();
    try {
      outer.write("inner/api/sums.api.md", "two numbers");
      outer.commit("start");
      outer.write("inner/api/sums.api.md", "three numbers");
      expect(changesetProblems(`${outer.root}/inner`)).toEqual(NOBODY_SAYS);
      outer.write("inner/.changeset/new.md", `---\n"@img/sums": patch\n---\n\nAdds three numbers\n`);
      expect(changesetProblems(`${outer.root}/inner`)).toEqual([]);
    } finally {
      outer[Symbol.dispose]();
    }
  });

  test("passes for a new package with any changeset that names it", () => {
    repository.changeset("product", "products", "Products");
    repository.commit("say what is to come");
    repository.write("api/products.api.md", "products");
    expect(problems()).toEqual([]);
    repository.remove(".changeset/product.md");
    expect(problems()).toEqual([
      "the interface of @img/products is new, and no changeset says so; run npm run changeset",
    ]);
  });

  test("fails when it is gone without a word", () => {
    repository.remove(REPORT);
    expect(problems()).toEqual(NOBODY_SAYS);
    repository.commit("remove it");
    expect(problems()).toEqual(NOBODY_SAYS);
  });

  test("is nothing in the first commit, and without a history to compare with", () => {
    expect(problems()).toEqual([]);
    repository.remove(".git");
    repository.write(REPORT, "three numbers");
    expect(problems()).toEqual([]);
  });
});
