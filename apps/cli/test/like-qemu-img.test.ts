import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { img, qemuImg, type ToolResult } from "./support/run-tool.ts";
import { SampleImages } from "./support/sample-images.ts";

let images: SampleImages;

beforeAll(() => {
  images = new SampleImages();
});
afterAll(() => {
  images.remove();
});

const described = [
  "a.qcow2",
  "./a.qcow2",
  "a.raw",
  "odd.raw",
  "empty.raw",
  "empty.qcow2",
  "base.raw",
  "v2.qcow2",
  "subclusters.qcow2",
  "preallocated.qcow2",
  "ov.qcow2",
  "./ov.qcow2",
  "sub/ov.qcow2",
  "on-short.qcow2",
  "broken.qcow2",
  "nbd.qcow2",
  "json.qcow2",
  "loop.qcow2",
  "snapshots.qcow2",
  "data.qcow2",
  "luks.qcow2",
  "aes.qcow2",
];
const mapped = [
  "a.qcow2",
  "plain.qcow2",
  "a.raw",
  "base.raw",
  "odd.raw",
  "empty.raw",
  "empty.qcow2",
  "zeroes.raw",
  "big.raw",
  "v2.qcow2",
  "subclusters.qcow2",
  "preallocated.qcow2",
  "ov.qcow2",
  "sub/ov.qcow2",
  "on-short.qcow2",
  "snapshots.qcow2",
  "data.qcow2",
];

/** Command lines whose output, exit code and messages have to be qemu-img's. */
const cases: readonly (readonly string[])[] = [
  ...described.flatMap((name) => [
    ["info", name],
    ["info", "--output=json", name],
  ]),
  ...["ov.qcow2", "sub/ov.qcow2", "on-short.qcow2", "a.raw", "loop.qcow2", "broken.qcow2"].flatMap((name) => [
    ["info", "--backing-chain", name],
    ["info", "--backing-chain", "--output=json", name],
  ]),
  ["info", "-f", "raw", "a.qcow2"],
  ["info", "-fraw", "a.qcow2"],
  ["info", "a.qcow2", "--output", "json", "-f", "qcow2"],
  ["info", "-U", "a.qcow2"],
  ["info", "-Uf", "qcow2", "a.qcow2"],
  ["info", "--out=json", "a.qcow2"],
  ["info", "--", "a.qcow2"],
  ["info", "-f", "file", "a.qcow2"],
  ["info", "file:a.qcow2"],
  ["info", "file:sub/ov.qcow2"],
  ["info", "--image-opts", "driver=qcow2,file.filename=sub/ov.qcow2"],
  ["info", "--image-opts", "driver=qcow2,file.driver=file,file.filename=a.qcow2,l2-cache-size=65536"],
  ["info", "--image-opts", "driver=raw,file.filename=a.qcow2,offset=64k", "--output=json"],
  ["info", "--image-opts", "driver=raw,file.filename=a.qcow2,offset=64k,size=128k"],
  ["info", "--image-opts", "file.filename=a.qcow2"],
  ["info", 'json:{"driver":"qcow2","file":{"driver":"file","filename":"a.qcow2"}}'],
  ["info", 'json:{"driver":"qcow2","file.driver":"file","file.filename":"a.qcow2"}'],
  ["info", 'json:{"driver":"raw","offset":512,"file":{"driver":"file","filename":"a.qcow2"}}'],
  ["info", 'json:{"file.filename":"a.qcow2"}'],
  ["info", 'json:{"driver":"file","filename":"a.qcow2"}'],
  ["info", "-f", "raw", 'json:{"driver":"qcow2","file":{"driver":"file","filename":"a.qcow2"}}'],

  ...mapped.flatMap((name) => [
    ["map", "--output=json", name],
    ["map", name],
  ]),
  ["map", "-f", "raw", "--output=json", "a.qcow2"],
  ["map", "--output=json", "-s", "70000", "-l", "10", "a.qcow2"],
  ["map", "--output=json", "--start-offset=100", "--max-length=100k", "a.qcow2"],
  ["map", "--output=json", "-s", "2M", "a.qcow2"],
  ["map", "-s", "2M", "a.qcow2"],
  ["map", "--output=json", "-l", "0", "a.qcow2"],
  ["map", "--output=json", "-s", "1.5k", "-l", "0x1000", "plain.qcow2"],
  ["map", "--output=json", "--image-opts", "driver=qcow2,file.filename=sub/ov.qcow2"],
  [
    "map",
    "--output=json",
    "--image-opts",
    "driver=qcow2,file.filename=ov.qcow2,backing.driver=raw,backing.file.filename=zeroes.raw",
  ],
  ["map", "--output=json", 'json:{"driver":"qcow2","backing":null,"file":{"driver":"file","filename":"ov.qcow2"}}'],
  [
    "map",
    "--output=json",
    'json:{"driver":"raw","offset":512,"size":1024,"file":{"driver":"file","filename":"a.raw"}}',
  ],

  ["compare", "a.qcow2", "a.raw"],
  ["compare", "-f", "qcow2", "-F", "raw", "a.qcow2", "a.raw"],
  ["compare", "-q", "a.qcow2", "base.raw"],
  ["compare", "a.qcow2", "base.raw"],
  ["compare", "a.raw", "base.raw"],
  ["compare", "base.raw", "a.qcow2"],
  ["compare", "base.raw", "odd.raw"],
  ["compare", "odd.raw", "base.raw"],
  ["compare", "zeroes.raw", "big.raw"],
  ["compare", "base.raw", "zeroes.raw"],
  ["compare", "on-short.qcow2", "zeroes.raw"],
  ["compare", "ov.qcow2", "sub/ov.qcow2"],
  ["compare", "empty.raw", "empty.qcow2"],
  ["compare", "empty.raw", "zeroes.raw"],
  ["compare", "snapshots.qcow2", "a.qcow2"],
  ["compare", "data.qcow2", "data.raw"],
  ["compare", "-s", "base.raw", "odd.raw"],
  ["compare", "-s", "-q", "base.raw", "big.raw"],
  ["compare", "-s", "a.raw", "a.raw"],
  ["compare", "-s", "a.qcow2", "a.raw"],
  ["compare", "-s", "plain.qcow2", "plain.qcow2"],
  ["compare", "-pq", "a.qcow2", "a.raw"],
  ["compare", "-T", "none", "a.qcow2", "a.raw"],
  ["compare", "nofile", "a.raw"],
  ["compare", "a.raw", "nofile"],
  ["compare", "a.raw", "broken.qcow2"],
  ["compare", "-T", "sometimes", "a.raw", "a.raw"],
  ["compare", "a.raw"],
  ["compare", "a.raw", "b", "c"],
  ["compare", "--sideways", "a.raw", "a.raw"],

  ...[
    "",
    "cluster_size=4k",
    "extended_l2=on",
    "refcount_bits=1",
    "refcount_bits=64",
    "compat=0.10",
    "compat=v3",
  ].flatMap(measured),
  ...["preallocation=off", "preallocation=full", "preallocation=falloc", "preallocation=metadata"].flatMap(measured),
  ...[
    "backing_file=foo,backing_fmt=raw",
    "cluster_size=2M,extended_l2=on",
    "cluster_size=512,refcount_bits=32",
  ].flatMap(measured),
  ...["lazy_refcounts=on", "compression_type=zstd", "size=1M", "data_file=a,,b"].flatMap(measured),
  ...["cluster_size=3k", "cluster_size=4M", "cluster_size=1k,extended_l2=on", "refcount_bits=3"].flatMap(measured),
  ...[
    "compat=v4",
    "compat=0.10,refcount_bits=8",
    "preallocation=foo",
    "extended_l2=foo",
    "a=b",
    "cluster_size=4k,",
  ].flatMap(measured),
  ["measure", "-O", "qcow2", "--output=json", "snapshots.qcow2"],
  ["measure", "-O", "qcow2", "-o", "compat=0.10", "snapshots.qcow2"],
  ["measure", "-O", "qcow2", "-o", "cluster_size=512", "snapshots.qcow2"],
  ["measure", "-O", "qcow2", "-l", "one", "snapshots.qcow2"],
  ["measure", "-O", "qcow2", "-l", "snapshot.id=1", "snapshots.qcow2"],
  ["measure", "-O", "qcow2", "subclusters.qcow2"],
  ["measure", "-O", "qcow2", "-o", "cluster_size=512", "subclusters.qcow2"],
  ["measure", "-O", "qcow2", "sub/ov.qcow2"],
  ["measure", "-O", "qcow2", "odd.raw"],
  ["measure", "-O", "qcow2", "empty.raw"],
  ["measure", "-O", "raw", "a.qcow2"],
  ["measure", "-O", "raw", "-o", "preallocation=full", "a.qcow2"],
  ["measure", "odd.raw"],
  ...["100", "512", "1.5k", "0x10", "1b", "7T", "1e3", "-1", "x", "1.5", "8E", "9E", "1k1", " 1", "", "1..5k"].flatMap(
    (size) => [
      ["measure", `--size=${size}`],
      ["measure", "-O", "qcow2", "--output=json", `--size=${size}`],
    ],
  ),
  ["measure", "-O", "qcow2", "-o", "cluster_size=512", "--size", "1T"],
  ["measure"],
  ["measure", "--size", "1G", "a.raw"],
  ["measure", "a.raw", "a.raw"],
  ["measure", "-O", "foo", "--size", "1G"],
  ["measure", "-l", "nope", "-O", "qcow2", "snapshots.qcow2"],
  ["measure", "-l", "snapshot.foo=1", "-O", "qcow2", "snapshots.qcow2"],
  ["measure", "nofile"],

  [],
  ["frobnicate"],
  ["--frobnicate"],
  ["info"],
  ["info", "a", "b"],
  ["info", "--output=xml", "a.raw"],
  ["info", "-Z", "a.raw"],
  ["info", "--foo", "a.raw"],
  ["info", "--force-share=1", "a.raw"],
  ["info", "-f"],
  ["info", "--output"],
  ["info", "nofile"],
  ["info", ""],
  ["info", "foo:bar"],
  ["info", "-f", "foo", "a.raw"],
  ["info", "-f", "qcow2", "a.raw"],
  ["info", "sub/../nofile"],
  ["info", "a.raw/x"],
  ["info", 'json:{"filename":"a.qcow2"}'],
  ["info", "json:[]"],
  ["info", 'json:{"driver":"qcow2","file.driver":"file","file.filename":"a.qcow2","foo":1}'],
  ["info", 'json:{"driver":"qcow2","file.driver":"file","file.filename":"a.qcow2","file.foo":1}'],
  ["info", "--image-opts", "a.qcow2"],
  ["info", "--image-opts", "driver=qcow2"],
  ["info", "--image-opts", "-f", "qcow2", "file.filename=a.qcow2"],
  ["info", "--image-opts", "driver=qcow2,file.filename=a.qcow2,foo=1"],
  ["map"],
  ["map", "-s", "x", "a.raw"],
  ["map", "-l", "-1", "a.raw"],
  ["map", "broken.qcow2"],
  ["map", "--output=yaml", "a.raw"],

  ["convert"],
  ["convert", "a.qcow2"],
  ["convert", "-O", "raw", "nofile", "out.raw"],
  ["convert", "-O", "foo", "a.qcow2", "out.raw"],
  ["convert", "-f", "foo", "a.qcow2", "out.raw"],
  ["convert", "-S", "1", "a.qcow2", "out.raw"],
  ["convert", "-S", "17M", "a.qcow2", "out.raw"],
  ["convert", "-m", "17", "a.qcow2", "out.raw"],
  ["convert", "-m", "x", "a.qcow2", "out.raw"],
  ["convert", "--target-is-zero", "a.qcow2", "out.raw"],
  ["convert", "--target-image-opts", "a.qcow2", "driver=raw,file.filename=out.raw"],
  ["convert", "-n", "-o", "size=1", "a.qcow2", "a.raw"],
  ["convert", "-n", "a.qcow2", "nofile.raw"],
  ["convert", "-n", "a.qcow2", "empty.raw"],
  ["convert", "-C", "-c", "a.qcow2", "out.raw"],
  ["convert", "-C", "-S", "4k", "a.qcow2", "out.raw"],
  ["convert", "-c", "a.qcow2", "out.raw"],
  ["convert", "-B", "base.raw", "a.qcow2", "out.raw"],
  ["convert", "-F", "raw", "a.qcow2", "out.raw"],
  ["convert", "--bitmaps", "snapshots.qcow2", "out.raw"],
  ["convert", "--skip-broken-bitmaps", "snapshots.qcow2", "out.raw"],
  ["convert", "-o", "foo=1", "a.qcow2", "out.raw"],
  ["convert", "-o", "size=1M,", "a.qcow2", "out.raw"],
  ["convert", "-o", "preallocation=foo", "a.qcow2", "out.raw"],
  ...[
    "compat=v4",
    "cluster_size=3k",
    "refcount_bits=3",
    "extended_l2=on,cluster_size=4k",
    "compression_type=foo",
    "compat=0.10,compression_type=zstd",
    "compat=0.10,lazy_refcounts=on",
    "compat=0.10,extended_l2=on",
    "compat=0.10,refcount_bits=8",
    "preallocation=foo",
    "lazy_refcounts=x",
    "foo=1",
  ].map((options) => ["convert", "-O", "qcow2", "-o", options, "a.qcow2", "out.qcow2"]),
  ["convert", "-O", "qcow2", "-c", "-o", "preallocation=metadata", "a.qcow2", "out.qcow2"],
  ["convert", "-t", "foo", "a.qcow2", "out.raw"],
  ["convert", "-T", "foo", "a.qcow2", "out.raw"],
  ["convert", "-l", "nope", "snapshots.qcow2", "out.raw"],
  ["convert", "-l", "one", "a.raw", "out.raw"],
  ["convert", "-l", "one", "snapshots.qcow2", "a.qcow2", "out.raw"],
  ["convert", "a.qcow2", "/no/such/directory/x"],
  ["convert", "a.qcow2", "foo:bar"],
  ["convert", "broken.qcow2", "out.raw"],
  ["convert", "-n", "-O", "raw", "--target-image-opts", "a.qcow2", "driver=raw,file.filename=a.raw"],
  ["convert", "--image-opts", "-f", "qcow2", "driver=qcow2,file.filename=a.qcow2", "out.raw"],
];

function measured(options: string): string[][] {
  const o = options === "" ? [] : ["-o", options];
  return [
    ["measure", "-O", "qcow2", ...o, "--output=json", "--size", "10G"],
    ["measure", "-O", "qcow2", ...o, "a.qcow2"],
  ];
}

/** QEMU explains sizes over several lines, and calls itself by its name. */
function normalized({ stdout, stderr, code }: ToolResult): ToolResult {
  const lines = stderr
    .replaceAll("qemu-img", "img")
    .split("\n")
    .filter((line) => !/^(?:Optional suffix|and exabytes)/.test(line));
  return { code, stdout, stderr: lines.join("\n") };
}

describe("like qemu-img", () => {
  it.each(cases.map((args) => [args.join(" "), args] as const))("img %s", (_name, args) => {
    const theirs = normalized(qemuImg(args, images.directory));
    const ours = normalized(img(args, images.directory));
    expect({ stdout: ours.stdout, code: ours.code }).toEqual({ stdout: theirs.stdout, code: theirs.code });
    // a hint may follow
    expect(ours.stderr.slice(0, theirs.stderr.length)).toBe(theirs.stderr);
  });
});
