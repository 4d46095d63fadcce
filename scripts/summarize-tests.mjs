// Prints the end of a continuous-integration run from vitest's own reports: what failed and why, also where a second try passed, and as the
// last line `N passed, N failed`. Exits with 1 when a test failed, when a package with tests left no report, and when no test ran at
// all. With --clear it removes the reports of earlier runs instead, so that none of them can be counted.
import { existsSync, readFileSync, rmSync } from "node:fs";
import { testReports } from "./test-reports.mjs";

/** As much of an error's text as tells what happened. */
const SHOWN_LINES = 30;

if (process.argv[2] === "--clear") {
  for (const { report } of testReports()) rmSync(report, { force: true });
} else {
  const { passed, failed } = count();
  if (passed === 0 && failed === 0) console.log("no test ran");
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
}

function count() {
  const total = { passed: 0, failed: 0 };
  for (const { name, report, hasTests } of testReports()) {
    if (existsSync(report)) {
      const results = readReport(report);
      const one = countReport(results);
      total.passed += one.passed;
      total.failed += one.failed;
      for (const failure of [...secondTries(results), ...failures(results)]) console.log(`${name}: ${failure}`);
    } else if (hasTests) {
      console.log(`${name}: no report of its tests`);
      total.failed += 1;
    }
  }
  return total;
}

/**
 * The part of vitest's JSON report that is counted.
 *
 * @typedef {object} Report
 * @property {number} numPassedTests
 * @property {number} numFailedTests
 * @property {{ name: string, status: string, message: string, assertionResults: Assertion[] }[]} testResults
 */

/** @typedef {{ status: string, fullName: string, failureMessages?: string[] }} Assertion */

/** @param {string} path */
function readReport(path) {
  return /** @type {Report} */ (JSON.parse(readFileSync(path, "utf8")));
}

/**
 * A file that could not be loaded has no tests in the report, only a status: it counts as one failure.
 *
 * @param {Report} report
 */
function countReport(report) {
  const broken = report.testResults.filter(
    (file) => file.status === "failed" && file.assertionResults.length === 0,
  ).length;
  return { passed: report.numPassedTests, failed: report.numFailedTests + broken };
}

/**
 * Each failed test, or file that could not be loaded, with its error.
 *
 * @param {Report} report
 */
function failures(report) {
  return report.testResults.flatMap(({ name, status, message, assertionResults }) => {
    if (status === "failed" && assertionResults.length === 0) return [describe("failed", name, message)];
    return assertionResults
      .filter((test) => test.status === "failed")
      .map((test) => describe("failed", `${name}: ${test.fullName}`, (test.failureMessages ?? []).join("\n")));
  });
}

/**
 * Each test that failed and then passed, with its error.
 *
 * @param {Report} report
 */
function secondTries(report) {
  return report.testResults.flatMap(({ name, assertionResults }) =>
    assertionResults
      .filter(({ status, failureMessages = [] }) => status === "passed" && failureMessages.length > 0)
      .map((test) =>
        describe("passed on its second try", `${name}: ${test.fullName}`, (test.failureMessages ?? []).join("\n")),
      ),
  );
}

/**
 * @param {string} how
 * @param {string} what
 * @param {string} error
 */
function describe(how, what, error) {
  const lines = error.split("\n").slice(0, SHOWN_LINES);
  return [`${how}: ${what}`, ...lines].join("\n    ");
}
