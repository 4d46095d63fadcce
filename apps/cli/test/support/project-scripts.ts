import type { ToolResult } from "./run-tool.ts";

/** What a program does with qemu-img: calls in the order in which it makes them, and what it makes of the answers. */
export interface ProjectScript {
  readonly project: string;
  readonly what: string;
  /** Each a command line; they begin with the program's name. */
  readonly calls: readonly (readonly string[])[];
  /** What the program takes from the answers. Default: whether all went well. */
  readonly parse?: (results: readonly ToolResult[]) => unknown;
  /** Verbs that are asked about without being called. */
  readonly needs?: readonly string[];
  /** Images that have to hold the same afterwards, by format. */
  readonly images?: Readonly<Record<string, string>>;
}

const json = ({ stdout }: ToolResult | undefined = failed): unknown => JSON.parse(stdout);
const failed: ToolResult = { code: -1, stdout: "null", stderr: "" };
const fields =
  (...names: readonly string[]) =>
  (results: readonly ToolResult[]): unknown => {
    const info = json(results.at(-1)) as Readonly<Record<string, unknown>>;
    return names.map((name) => [name, info[name]]);
  };

const lima: readonly ProjectScript[] = [
  {
    project: "lima",
    what: "makes a disk on a base image",
    calls: [
      ["qemu-img", "info", "--output=json", "--force-share", "base.qcow2"],
      ["qemu-img", "create", "-f", "qcow2", "-F", "qcow2", "-b", "base.qcow2", "diffdisk", "107374182400"],
      ["qemu-img", "info", "--output=json", "--force-share", "diffdisk"],
    ],
    parse: fields("format", "virtual-size", "backing-filename", "full-backing-filename"),
    images: { diffdisk: "qcow2" },
  },
  {
    project: "lima",
    what: "makes a raw disk of it",
    calls: [["qemu-img", "convert", "-O", "raw", "disk.qcow2", "disk.out"]],
    images: { "disk.out": "raw" },
  },
  {
    project: "lima",
    what: "makes and resizes a named disk",
    calls: [
      ["qemu-img", "create", "-f", "qcow2", "datadisk", "10485760"],
      ["qemu-img", "resize", "-f", "qcow2", "datadisk", "20971520"],
      ["qemu-img", "create", "-f", "raw", "datadisk.raw", "10485760"],
      ["qemu-img", "resize", "-f", "raw", "datadisk.raw", "20971520"],
    ],
    images: { datadisk: "qcow2", "datadisk.raw": "raw" },
  },
  {
    project: "lima",
    what: "keeps, lists, applies and deletes snapshots",
    calls: [
      ["qemu-img", "snapshot", "-c", "tag1", "disk.qcow2"],
      ["qemu-img", "snapshot", "-l", "disk.qcow2"],
      ["qemu-img", "snapshot", "-a", "tag1", "disk.qcow2"],
      ["qemu-img", "snapshot", "-d", "tag1", "disk.qcow2"],
    ],
    parse: (results) =>
      results[1]?.stdout
        .split("\n")
        .slice(1)
        .map((line) => line.trim().split(/\s+/).slice(0, 2)),
    images: { "disk.qcow2": "qcow2" },
  },
];

/** The last percentage, and that all of them are what the importer's expression finds. */
const importerProgress = ({ stdout }: ToolResult = failed): unknown => {
  const found = [...stdout.matchAll(/\((\d{1,3}\.\d{2})\/100%\)/g)].map(([, percent]) => Number(percent));
  return { first: found[0], last: found.at(-1), isRising: found.every((each, at) => each >= (found[at - 1] ?? 0)) };
};

const containerizedDataImporter: readonly ProjectScript[] = [
  {
    project: "CDI",
    what: "validates and converts what was uploaded",
    calls: [
      ["qemu-img", "info", "--output=json", "disk.qcow2"],
      ["qemu-img", "convert", "-t", "writeback", "-p", "-O", "raw", "disk.qcow2", "disk.img"],
    ],
    parse: ([info, convert]) => [
      fields("virtual-size", "format", "backing-filename")([info ?? failed]),
      importerProgress(convert),
    ],
    images: { "disk.img": "raw" },
  },
  {
    project: "CDI",
    what: "converts onto a disk of its own, all of it allocated",
    calls: [
      ["qemu-img", "convert", "-o", "preallocation=falloc", "-t", "none", "-p", "-O", "raw", "disk.qcow2", "disk.img"],
    ],
    parse: ([convert]) => importerProgress(convert),
    images: { "disk.img": "raw" },
  },
  {
    project: "CDI",
    what: "makes and grows a blank disk",
    calls: [
      ["qemu-img", "create", "-f", "raw", "blank.img", "4194304"],
      ["qemu-img", "resize", "-f", "raw", "blank.img", "8388608"],
      ["qemu-img", "info", "--output=json", "blank.img"],
    ],
    parse: fields("virtual-size", "format"),
    images: { "blank.img": "raw" },
  },
  {
    project: "CDI",
    what: "refuses an image with another one below",
    calls: [["qemu-img", "info", "--output=json", "overlay.qcow2"]],
    parse: fields("virtual-size", "format", "backing-filename"),
  },
  {
    project: "CDI",
    what: "brings a checkpoint into the image below",
    calls: [
      ["qemu-img", "rebase", "-p", "-u", "-F", "raw", "-b", "base.raw", "overlay.qcow2"],
      ["qemu-img", "commit", "-p", "overlay.qcow2"],
    ],
    images: { "base.raw": "raw" },
  },
];

const vdsm: readonly ProjectScript[] = [
  {
    project: "vdsm",
    what: "asks what there is",
    needs: ["bitmap"],
    calls: [["qemu-img", "--help"]],
    parse: ([help]) =>
      [/^\s+bitmap (.+) filename bitmap/m, /^\s+measure (.+)/m, /^\s+convert .*--bitmaps/m].map((each) =>
        each.test(help?.stdout ?? ""),
      ),
  },
  {
    project: "vdsm",
    what: "describes volumes",
    calls: [
      ["qemu-img", "info", "--output", "json", "-f", "qcow2", "-U", "overlay.qcow2"],
      ["qemu-img", "info", "--output", "json", "-f", "qcow2", "--backing-chain", "overlay.qcow2"],
    ],
    parse: ([one, chain]) => [
      fields("virtual-size", "format", "cluster-size", "backing-filename", "format-specific")([one ?? failed]),
      (json(chain) as Readonly<Record<string, unknown>>[]).map((each) => each["filename"]),
    ],
  },
  {
    project: "vdsm",
    what: "measures a volume, alone and with its chain",
    calls: [
      ["qemu-img", "measure", "--output", "json", "-O", "qcow2", "overlay.qcow2"],
      [
        "qemu-img",
        "measure",
        "--output",
        "json",
        "-O",
        "qcow2",
        'json:{"file": {"driver": "file", "filename": "overlay.qcow2"}, "driver": "qcow2", "backing": null}',
      ],
      ["qemu-img", "measure", "--output", "json", "-f", "raw", "-O", "qcow2", "base.raw"],
      ["qemu-img", "measure", "--output", "json", "-O", "raw", "-f", "qcow2", "overlay.qcow2"],
    ],
    parse: (results) => results.map(json),
  },
  {
    project: "vdsm",
    what: "makes volumes",
    calls: [
      ["qemu-img", "create", "-f", "qcow2", "-o", "compat=1.1", "vol", "1073741824"],
      ["qemu-img", "create", "-f", "qcow2", "-o", "compat=0.10", "-b", "base.qcow2", "-F", "qcow2", "leaf"],
      ["qemu-img", "create", "-f", "qcow2", "-u", "-o", "compat=1.1", "-b", "gone", "-F", "raw", "unsafe", "1048576"],
      ["qemu-img", "info", "--output", "json", "-f", "qcow2", "leaf"],
    ],
    parse: fields("virtual-size", "format", "backing-filename", "format-specific"),
    images: { vol: "qcow2", leaf: "qcow2" },
  },
  {
    project: "vdsm",
    what: "takes the report of a check also when it finds leaks",
    calls: [
      ["qemu-img", "check", "--output", "json", "-f", "qcow2", "disk.qcow2"],
      ["qemu-img", "check", "--output", "json", "-f", "qcow2", "leaky.qcow2"],
    ],
    parse: (results) =>
      results.map((result) => {
        const report = json(result) as Readonly<Record<string, unknown>>;
        return [
          result.code,
          report["image-end-offset"],
          report["leaks"],
          report["corruptions"],
          report["check-errors"],
        ];
      }),
  },
  {
    project: "vdsm",
    what: "copies volumes",
    calls: [
      ["qemu-img", "convert", "-p", "-t", "none", "-T", "none", "-f", "qcow2", "-O", "raw", "disk.qcow2", "copy.raw"],
      ["qemu-img", "create", "-f", "qcow2", "-o", "compat=1.1", "copy", "4194304"],
      [
        "qemu-img",
        "convert",
        "-p",
        "-t",
        "none",
        "-T",
        "none",
        "-f",
        "qcow2",
        "disk.qcow2",
        "-O",
        "qcow2",
        "-n",
        "-W",
        "copy",
      ],
      [
        "qemu-img",
        "convert",
        "-p",
        "-t",
        "none",
        "-T",
        "none",
        "-f",
        "qcow2",
        "-O",
        "qcow2",
        "-c",
        "-o",
        "compat=1.1",
        "disk.qcow2",
        "small",
      ],
      [
        ...["qemu-img", "convert", "-p", "-t", "none", "-T", "none", "-f", "qcow2", "overlay.qcow2", "-O", "qcow2"],
        ...["-o", "compat=1.1,backing_file=base.qcow2,backing_fmt=qcow2", "copied-overlay"],
      ],
    ],
    parse: (results) => results.filter(({ stdout }) => stdout.includes("%")).map(importerProgress),
    images: { "copy.raw": "raw", copy: "qcow2", small: "qcow2", "copied-overlay": "qcow2" },
  },
  {
    project: "vdsm",
    what: "compares and maps volumes",
    calls: [
      ["qemu-img", "compare", "-p", "-f", "qcow2", "-F", "raw", "disk.qcow2", "disk.raw"],
      ["qemu-img", "compare", "-p", "-f", "raw", "-F", "raw", "base.raw", "disk.raw"],
      ["qemu-img", "map", "--output", "json", "overlay.qcow2"],
    ],
    parse: (results) => [results.map(({ code }) => code), json(results[2])],
  },
  {
    project: "vdsm",
    what: "grows a volume",
    calls: [
      ["qemu-img", "resize", "-f", "qcow2", "disk.qcow2", "8388608"],
      ["qemu-img", "resize", "-f", "raw", "base.raw", "8388608"],
    ],
    images: { "disk.qcow2": "qcow2", "base.raw": "raw" },
  },
  {
    project: "vdsm",
    what: "changes a volume's compatibility",
    calls: [
      ["qemu-img", "amend", "-o", "compat=1.1", "old.qcow2"],
      ["qemu-img", "info", "--output", "json", "-f", "qcow2", "old.qcow2"],
    ],
    parse: fields("format-specific"),
    images: { "old.qcow2": "qcow2" },
  },
  {
    project: "vdsm",
    what: "merges a volume into the one below, and takes others away from it",
    calls: [
      ["qemu-img", "commit", "-p", "-d", "-t", "none", "-b", "base.qcow2", "-f", "qcow2", "overlay.qcow2"],
      ["qemu-img", "rebase", "-u", "-t", "none", "-f", "qcow2", "-b", "disk.qcow2", "-F", "qcow2", "overlay.qcow2"],
      ["qemu-img", "info", "--output", "json", "-f", "qcow2", "overlay.qcow2"],
    ],
    parse: fields("backing-filename", "backing-filename-format"),
    images: { "base.qcow2": "qcow2", "overlay.qcow2": "qcow2" },
  },
  {
    project: "vdsm",
    what: "moves a volume onto another one",
    calls: [
      [
        "qemu-img",
        "rebase",
        "-p",
        "-t",
        "none",
        "-T",
        "none",
        "-f",
        "qcow2",
        "-b",
        "other.raw",
        "-F",
        "raw",
        "overlay.qcow2",
      ],
    ],
    parse: ([rebase]) => importerProgress(rebase),
    images: { "overlay.qcow2": "qcow2" },
  },
  {
    project: "vdsm",
    what: "keeps bitmaps",
    calls: [
      ["qemu-img", "bitmap", "--add", "--enable", "-g", "65536", "disk.qcow2", "one"],
      ["qemu-img", "bitmap", "--add", "--disable", "disk.qcow2", "two"],
      ["qemu-img", "bitmap", "--merge", "one", "disk.qcow2", "two"],
      ["qemu-img", "bitmap", "--remove", "disk.qcow2", "one"],
      ["qemu-img", "info", "--output", "json", "-f", "qcow2", "disk.qcow2"],
    ],
    parse: fields("format-specific"),
    images: { "disk.qcow2": "qcow2" },
  },
];

const openStack: readonly ProjectScript[] = [
  {
    project: "nova",
    what: "looks at an image",
    calls: [
      ["env", "LC_ALL=C", "LANG=C", "qemu-img", "info", "overlay.qcow2", "--force-share", "--output=json"],
      ["env", "LC_ALL=C", "LANG=C", "qemu-img", "info", "disk.raw", "--force-share", "--output=json", "-f", "raw"],
    ],
    parse: (results) =>
      results.map((each) =>
        fields("virtual-size", "format", "backing-filename", "encrypted", "format-specific")([each]),
      ),
  },
  {
    project: "nova",
    what: "makes an instance's disk",
    calls: [
      ["qemu-img", "create", "-f", "qcow2", "-o", "backing_file=base.qcow2,backing_fmt=qcow2", "disk", "8388608"],
      ["qemu-img", "resize", "-f", "qcow2", "disk", "16777216"],
      ["qemu-img", "rebase", "-u", "-b", "disk.qcow2", "-F", "qcow2", "disk"],
      ["qemu-img", "info", "disk", "--force-share", "--output=json"],
    ],
    parse: fields("virtual-size", "backing-filename"),
    images: { disk: "qcow2" },
  },
  {
    project: "nova",
    what: "takes a snapshot for the image service",
    calls: [
      ["qemu-img", "convert", "-t", "none", "-O", "qcow2", "-f", "qcow2", "-c", "disk.qcow2", "snapshot.out"],
      ["qemu-img", "convert", "-t", "writeback", "-O", "raw", "-f", "qcow2", "disk.qcow2", "snapshot.raw"],
    ],
    images: { "snapshot.out": "qcow2", "snapshot.raw": "raw" },
  },
  {
    project: "cinder",
    what: "asks for the version",
    calls: [["qemu-img", "--version"]],
    parse: ([version]) => /qemu-img version ([0-9.]*)/.exec(version?.stdout ?? "")?.slice(1),
  },
  {
    project: "cinder",
    what: "fills a volume",
    calls: [
      ["qemu-img", "info", "-f", "qcow2", "--output=json", "disk.qcow2"],
      ["qemu-img", "convert", "-O", "raw", "-t", "none", "-f", "qcow2", "disk.qcow2", "volume"],
      ["qemu-img", "resize", "-f", "raw", "volume", "1G"],
    ],
    parse: ([info]) => fields("virtual-size", "backing-filename")([info ?? failed]),
    images: { volume: "raw" },
  },
  {
    project: "glance",
    what: "converts on import",
    calls: [
      ["qemu-img", "info", "-f", "raw", "--output=json", "disk.raw"],
      ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "disk.raw", "imported.qcow2"],
    ],
    parse: ([info]) => fields("format", "virtual-size")([info ?? failed]),
    images: { "imported.qcow2": "qcow2" },
  },
];

const others: readonly ProjectScript[] = [
  {
    project: "Proxmox",
    what: "makes and clones disks",
    calls: [
      ["qemu-img", "create", "-o", "preallocation=metadata", "-f", "qcow2", "vm-100-disk-0.qcow2", "4096K"],
      ["qemu-img", "create", "-b", "base.qcow2", "-F", "qcow2", "-f", "qcow2", "vm-101-disk-0.qcow2"],
      ["qemu-img", "info", "-f", "qcow2", "--output=json", "vm-101-disk-0.qcow2"],
    ],
    parse: fields("virtual-size", "format", "backing-filename"),
    images: { "vm-100-disk-0.qcow2": "qcow2", "vm-101-disk-0.qcow2": "qcow2" },
  },
  {
    project: "Proxmox",
    what: "keeps, applies and deletes snapshots",
    calls: [
      ["qemu-img", "snapshot", "-c", "before", "disk.qcow2"],
      ["qemu-img", "snapshot", "-a", "before", "disk.qcow2"],
      [
        "qemu-img",
        "convert",
        "-p",
        "-n",
        "-f",
        "qcow2",
        "-O",
        "raw",
        "-l",
        "snapshot.name=before",
        "disk.qcow2",
        "target.raw",
      ],
      ["qemu-img", "snapshot", "-d", "before", "disk.qcow2"],
      ["qemu-img", "resize", "-f", "qcow2", "disk.qcow2", "8388608"],
    ],
    images: { "disk.qcow2": "qcow2", "target.raw": "raw" },
  },
  {
    project: "Proxmox",
    what: "knows an image of another format by what is said about it",
    calls: [["qemu-img", "info", "-f", "qcow2", "--output=json", "disk.raw"]],
    parse: ([info]) => [info?.code, /Image is not in \S+ format$/m.test(info?.stderr ?? "")],
  },
  {
    project: "Packer",
    what: "makes, compacts and grows a disk",
    calls: [
      ["qemu-img", "create", "-f", "qcow2", "packer-vm", "40960M"],
      ["qemu-img", "create", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "packer-linked", "64M"],
      ["qemu-img", "convert", "-O", "qcow2", "-c", "disk.qcow2", "packer-compact"],
      ["qemu-img", "resize", "-f", "qcow2", "packer-compact", "64M"],
    ],
    images: { "packer-vm": "qcow2", "packer-linked": "qcow2", "packer-compact": "qcow2" },
  },
  {
    project: "osbuild",
    what: "exports a disk",
    calls: [
      ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", "-o", "compat=1.1", "disk.raw", "out.qcow2"],
      ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-o", "compat=0.10", "disk.raw", "out-old.qcow2"],
    ],
    images: { "out.qcow2": "qcow2", "out-old.qcow2": "qcow2" },
  },
  {
    project: "libvirt",
    what: "asks for options",
    calls: [
      ["qemu-img", "create", "-o", "?", "-f", "qcow2", "/dev/null"],
      ["qemu-img", "create", "-f", "qcow2", "-o", "help"],
    ],
    parse: (results) =>
      results.map(({ stdout }) => [stdout.includes("\ncompat "), /^ {2}(compat|lazy_refcounts)=/m.test(stdout)]),
  },
  {
    project: "libvirt",
    what: "makes volumes of a pool",
    calls: [
      [
        "qemu-img",
        "create",
        "-f",
        "qcow2",
        "-o",
        "preallocation=metadata,compat=1.1,lazy_refcounts",
        "vol1.qcow2",
        "10240K",
      ],
      [
        "qemu-img",
        "create",
        "-f",
        "qcow2",
        "-b",
        "base.qcow2",
        "-o",
        "backing_fmt=qcow2,compat=0.10",
        "vol2.qcow2",
        "10240K",
      ],
      ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-o", "compat=1.1", "disk.raw", "vol3.qcow2"],
      ["qemu-img", "resize", "--preallocation=falloc", "-f", "raw", "base.raw", "8388608"],
    ],
    images: { "vol1.qcow2": "qcow2", "vol2.qcow2": "qcow2", "vol3.qcow2": "qcow2", "base.raw": "raw" },
  },
  {
    project: "libvirt",
    what: "keeps snapshots of a machine that is off",
    calls: [
      ["qemu-img", "snapshot", "-c", "snap1", "disk.qcow2"],
      ["qemu-img", "snapshot", "-c", "snap2", "disk.qcow2"],
      ["qemu-img", "snapshot", "-a", "snap1", "disk.qcow2"],
      ["qemu-img", "snapshot", "-d", "snap2", "disk.qcow2"],
    ],
    images: { "disk.qcow2": "qcow2" },
  },
  {
    project: "vagrant-libvirt",
    what: "reads a box's size from what is for people",
    calls: [["qemu-img", "info", "disk.qcow2"]],
    parse: ([info]) => /virtual size: .*\((\d+) bytes\)/.exec(info?.stdout ?? "")?.slice(1),
  },
  {
    project: "Incus",
    what: "looks at the partition table and unpacks an image",
    calls: [
      ["qemu-img", "info", "-f", "qcow2", "--output=json", "disk.qcow2"],
      ["qemu-img", "dd", "-f", "qcow2", "-O", "raw", "bs=512", "count=1", "if=disk.qcow2", "of=mbr.raw"],
      ["qemu-img", "convert", "-f", "qcow2", "-O", "raw", "-t", "writeback", "disk.qcow2", "unpacked.raw"],
    ],
    parse: ([info]) => fields("virtual-size", "format")([info ?? failed]),
    images: { "mbr.raw": "raw", "unpacked.raw": "raw" },
  },
  {
    project: "scripts that give a secret whether it is needed or not",
    what: "describe and copy what isn't encrypted",
    calls: [
      ["qemu-img", "info", "--object", "secret,id=sec0,data=passphrase", "--output=json", "disk.qcow2"],
      [
        "qemu-img",
        "convert",
        "--object",
        "secret,id=sec0,format=base64,data=cGFzcw==",
        "-O",
        "raw",
        "disk.qcow2",
        "plain.raw",
      ],
    ],
    parse: ([info]) => fields("virtual-size", "format")([info ?? failed]),
    images: { "plain.raw": "raw" },
  },
];

/** The calls of programs that many use, as they make them. */
export const projectScripts: readonly ProjectScript[] = [
  ...lima,
  ...containerizedDataImporter,
  ...vdsm,
  ...openStack,
  ...others,
];
