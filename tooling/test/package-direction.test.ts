import { packageDirection } from "../eslint/rules/package-direction.js";
import { fixtureFile, typedRuleTester } from "./rule-tester.js";

const portable = (name: string): [{ name: string; node: boolean; also: string[] }] => [{ name, node: false, also: [] }];
const onNode = (name: string): [{ name: string; node: boolean; also: string[] }] => [{ name, node: true, also: [] }];

typedRuleTester().run("package-direction", packageDirection, {
  valid: [
    {
      filename: fixtureFile,
      code: 'import { IoVector } from "@img/io-vector";',
      options: portable("@img/format-core"),
    },
    { filename: fixtureFile, code: 'export { qcow2 } from "@img/qcow2";', options: portable("@img/operations") },
    { filename: fixtureFile, code: 'import { open } from "node:fs";', options: onNode("@img/storage-fs") },
    {
      filename: fixtureFile,
      code: 'import { FileStorage } from "@img/storage-fs";',
      options: onNode("@img/operations"),
    },
    { filename: fixtureFile, code: 'import { parse } from "./header/parse.ts";', options: portable("@img/qcow2") },
    { filename: fixtureFile, code: 'import { inflate } from "pako";', options: portable("@img/qcow2") },
    {
      name: "a test may use the package for tests",
      filename: fixtureFile,
      code: 'import { storageSuite } from "@img/testing";',
      options: [{ name: "@img/raw", node: true, also: ["@img/testing"] }],
    },
  ],
  invalid: [
    {
      name: "a sibling",
      filename: fixtureFile,
      code: 'import { raw } from "@img/raw";',
      options: portable("@img/qcow2"),
      errors: [{ messageId: "direction" }],
    },
    {
      name: "against the arrows",
      filename: fixtureFile,
      code: 'export * from "@img/format-core";',
      options: portable("@img/io-vector"),
      errors: [{ messageId: "direction" }],
    },
    {
      name: "a type, a dynamic import and a part of a package",
      filename: fixtureFile,
      code: 'type A = import("@img/raw").A; export { b } from "@img/operations/node"; const c: A = await import("@img/cli");',
      options: portable("@img/qcow2"),
      errors: [{ messageId: "direction" }, { messageId: "direction" }, { messageId: "direction" }],
    },
    {
      name: "a package that the table does not know",
      filename: fixtureFile,
      code: 'import { IoVector } from "@img/io-vector";',
      options: portable("@img/unheard-of"),
      errors: [{ messageId: "direction" }],
    },
    {
      name: "Node's modules, with and without the prefix",
      filename: fixtureFile,
      code: 'import { open } from "node:fs"; import { join } from "path";',
      options: portable("@img/format-core"),
      errors: [{ messageId: "node" }, { messageId: "node" }],
    },
    {
      name: "a package for Node in portable code",
      filename: fixtureFile,
      code: 'import { FileStorage } from "@img/storage-fs";',
      options: portable("@img/operations"),
      errors: [{ messageId: "node" }],
    },
    {
      name: "a path into another package",
      filename: fixtureFile,
      code: 'import { IoVector } from "../../io-vector/src/index.ts";',
      options: portable("@img/format-core"),
      errors: [{ messageId: "outside" }],
    },
  ],
});
