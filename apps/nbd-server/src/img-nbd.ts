#!/usr/bin/env node
import { main } from "./main.ts";

void main(process.argv).then((code) => {
  process.exitCode = code;
  // a connection that somebody else holds on to is no reason to stay
  setTimeout(() => process.exit(), 1000).unref();
});
