// Imports and requires every module named on the command line, and prints what each of them has.
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const found = {};
for (const specifier of process.argv.slice(2)) {
  const imported = await import(specifier);
  const required = require(specifier);
  for (const name of Object.keys(imported)) {
    if (imported[name] !== required[name]) throw new Error(`${specifier}: two different ${name}`);
  }
  found[specifier] = Object.keys(imported);
}
console.log(JSON.stringify({ node: process.versions.node, found }));
