import { rmSync } from "node:fs";
import type { Images } from "../input/images.ts";
import type { Case } from "../run/measurement.ts";
import type { Profile } from "../run/profile.ts";
import type { Programs, Words } from "../run/programs.ts";
import { checkCopy } from "./conversions.ts";

const giB = 2 ** 30;

/** Sizes of disks, and the smallest profile that has each. */
const sizes: readonly { readonly name: string; readonly bytes: number; readonly profile: Profile }[] = [
  { name: "1 GiB", bytes: giB, profile: "default" },
  { name: "32 GiB", bytes: 32 * giB, profile: "full" },
  { name: "1 TiB", bytes: 1024 * giB, profile: "default" },
  { name: "16 TiB", bytes: 16 * 1024 * giB, profile: "default" },
];

/** The same commands on ever larger disks, each with 2048 blocks far from each other. */
export function sizeCases(images: Images, programs: Programs): Case[] {
  const made = images.path("scaled.qcow2");
  return sizes.flatMap(({ name, bytes, profile }) => {
    const image = (): string => images.scattered(bytes);
    const of = (what: string, words: Words): Case => ({
      group: "image size",
      name: `${what}, ${name}`,
      profile,
      ours: programs.img(words),
      theirs: programs.qemuImg(words),
      after: () => {
        rmSync(made, { force: true });
      },
    });
    return [
      of("info", () => ["info", image()]),
      of("map", () => ["map", "--output=json", image()]),
      of("check", () => ["check", image()]),
      of("measure", () => ["measure", "-O", "qcow2", "-f", "qcow2", image()]),
      of("create", () => ["create", "-q", "-f", "qcow2", made, String(bytes)]),
      { ...of("convert to qcow2", () => ["convert", "-O", "qcow2", image(), made]), profile: "full" },
    ];
  });
}

/** The same conversions with one core and with all, and with more threads. */
export function coreCases(images: Images, programs: Programs): Case[] {
  const output = images.path("output");
  const of = (
    name: string,
    profile: Profile,
    { from, source, to, both = [] }: Job,
    run: { readonly one: boolean; readonly ours: readonly string[]; readonly theirs: readonly string[] },
  ): Case => {
    const words =
      (extra: readonly string[]): Words =>
      () => ["convert", ...extra, ...both, "-f", from, "-O", to, source(), output];
    const on = run.one ? programs.onOneCore : programs;
    return {
      group: "cores",
      name,
      profile,
      ours: on.img(words(run.ours)),
      theirs: on.qemuImg(words(run.theirs)),
      verify: () => {
        checkCopy(from, source(), to, output);
      },
      after: () => {
        rmSync(output, { force: true });
      },
    };
  };
  return jobs(images).flatMap((job) => [
    of(`${job.name}, one core`, job.profile, job, { one: true, ours: [], theirs: [] }),
    of(`${job.name}, -m 1`, "full", job, { one: false, ours: ["-m", "1"], theirs: ["-m", "1"] }),
    of(`${job.name}, -m 2 (QEMU: -W -m 2)`, job.profile, job, {
      one: false,
      ours: ["-m", "2"],
      theirs: ["-W", "-m", "2"],
    }),
    of(`${job.name}, all cores (QEMU: -W -m 16)`, "full", job, {
      one: false,
      ours: [],
      theirs: ["-W", "-m", "16"],
    }),
  ]);
}

interface Job {
  readonly name: string;
  readonly profile: Profile;
  readonly from: "raw" | "qcow2";
  readonly source: () => string;
  readonly to: "raw" | "qcow2";
  readonly both?: readonly string[];
}

function jobs(images: Images): Job[] {
  const unsafe = ["-t", "unsafe"];
  return [
    {
      ...{ name: "qcow2 to raw, -t unsafe", profile: "default", from: "qcow2", to: "raw", both: unsafe },
      source: () => images.qcow2("plain"),
    },
    {
      ...{ name: "zlib qcow2 to raw", profile: "default", from: "qcow2", to: "raw" },
      source: () => images.qcow2("zlib"),
    },
    {
      ...{ name: "raw to qcow2, -c", profile: "full", from: "raw", to: "qcow2", both: ["-c"] },
      source: () => images.raw(),
    },
    {
      name: "raw to qcow2, -c zstd",
      ...{ profile: "default", from: "raw", to: "qcow2", both: ["-c", "-o", "compression_type=zstd"] },
      source: () => images.raw(),
    },
  ];
}
