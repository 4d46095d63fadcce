// Type-checked as a program for Node.
import { convertImages, openImage, type ConvertImagesResult } from "@img/operations/node";
import { FileStorage } from "@img/storage-fs";
import { formatSuite, storageSuite, type TestCase } from "@img/testing";
import { describe } from "./everywhere.js";

export const cases: TestCase[] = storageSuite({ create: (contents) => FileStorage.open(String(contents.length)) });
export const { threads }: ConvertImagesResult = await convertImages({
  sources: [{ path: "a.qcow2" }],
  target: { path: "b.raw", format: "raw" },
});
await using disk = await openImage({ path: "a.qcow2" });
const size: number = disk.size;
console.log(size, await describe(await FileStorage.open("a.qcow2")), formatSuite);

// @ts-expect-error the target is missing
void convertImages({ sources: [] });
// @ts-expect-error the module has no such export
export type { openNothing } from "@img/operations/node";
// @ts-expect-error there is no such way in
export type * from "@img/operations/nothing";
