#!/usr/bin/env node
import { main } from "./main.ts";

void main(process.argv).then((code) => {
  process.exitCode = code;
  // all is done: what Node would take apart piece by piece, the system takes back at once
  process.once("beforeExit", (status) => process.exit(status));
});
