import { fstat, fstatSync, type Stats } from "node:fs";
import type { Io } from "@img/format-core";
import { callHost, nodeCall } from "./host-call.ts";
import type { OpenFile } from "./open-file.ts";

/** What the host says about an open file now. */
export function askStats(file: OpenFile): Io<Stats> {
  return callHost(
    file.label,
    nodeCall(
      () => fstatSync(file.fd),
      (done) => {
        fstat(file.fd, done);
      },
    ),
    file.questionsAtOnce,
  );
}
