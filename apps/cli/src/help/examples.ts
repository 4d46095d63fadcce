import type { Verb } from "../verbs/verb.ts";

/** A command line and what it is for. */
export interface Example {
  /** From the verb on. */
  readonly command: string;
  /** One line, without a full stop. */
  readonly about: string;
}

const examples: Readonly<Record<string, readonly Example[]>> = {
  amend: [
    { command: "amend -f qcow2 -o compat=1.1,lazy_refcounts=on disk.qcow2", about: "bring an old image up to date" },
    { command: "amend -f qcow2 -o help", about: "list what can be changed" },
  ],
  bench: [
    { command: "bench -f qcow2 -c 10000 -s 64k disk.qcow2", about: "read 64 KiB ten thousand times" },
    { command: "bench -w -f raw -t none scratch.raw", about: "write past the host's cache; what was in it is lost" },
  ],
  bitmap: [
    { command: "bitmap --add -g 64k disk.qcow2 backup", about: "note from now on which 64 KiB are written" },
    { command: "bitmap --clear disk.qcow2 backup", about: "forget what was noted" },
    {
      command: "bitmap --merge monday -b overlay.qcow2 -F qcow2 disk.qcow2 backup",
      about: "add what another image's bitmap has noted",
    },
  ],
  check: [
    { command: "check disk.qcow2", about: "look for contradictions; changes nothing" },
    { command: "check -r all --dry-run disk.qcow2", about: "show what a repair would do" },
    { command: "check -r leaks disk.qcow2", about: "give back space that belongs to nobody" },
    { command: "check --output=json disk.qcow2", about: "the same for programs" },
  ],
  commit: [
    { command: "commit overlay.qcow2", about: "write what the overlay holds into its backing image, and empty it" },
    {
      command: "commit -d -b base.qcow2 overlay.qcow2",
      about: "write it into an image further below; keep the overlay",
    },
  ],
  compare: [
    { command: "compare disk.qcow2 disk.raw", about: "whether both disks hold the same" },
    { command: "compare -f raw -F qcow2 -s a.raw b.qcow2", about: "sizes and allocation have to be the same, too" },
  ],
  completion: [
    { command: "completion bash > ~/.local/share/bash-completion/completions/img", about: "for bash" },
    { command: 'completion zsh > "${fpath[1]}/_img"', about: "for zsh" },
    { command: "completion fish > ~/.config/fish/completions/img.fish", about: "for fish" },
  ],
  convert: [
    { command: "convert -O qcow2 disk.raw disk.qcow2", about: "a raw image as qcow2" },
    { command: "convert -c -O qcow2 -o compression_type=zstd big.qcow2 small.qcow2", about: "compress" },
    { command: "convert -O raw -l before disk.qcow2 before.raw", about: "what the disk was when a snapshot was made" },
    { command: "convert -p -n -O raw disk.qcow2 /dev/sdx", about: "onto a block device, with progress" },
    {
      command: "convert -O qcow2 -B base.qcow2 -F qcow2 disk.qcow2 overlay.qcow2",
      about: "only what base.qcow2 hasn't",
    },
  ],
  create: [
    { command: "create -f qcow2 disk.qcow2 20G", about: "an empty disk of 20 GiB" },
    {
      command: "create -f qcow2 -b base.qcow2 -F qcow2 overlay.qcow2",
      about: "an overlay that keeps base.qcow2 as it is",
    },
    { command: "create -f qcow2 -o cluster_size=128k,extended_l2=on disk.qcow2 1T", about: "with options" },
    { command: "create -f qcow2 -o help", about: "list the options" },
  ],
  dd: [
    { command: "dd -f qcow2 -O raw bs=1M count=1 if=disk.qcow2 of=head.raw", about: "the first mebibyte" },
    { command: "dd -f raw -O qcow2 bs=512 skip=2048 if=disk.raw of=partition.qcow2", about: "all behind the first" },
  ],
  dump: [
    { command: "dump disk.qcow2", about: "the header" },
    { command: "dump --l1 disk.qcow2", about: "the L1 table" },
    { command: "dump --l2 0 --output=json disk.qcow2", about: "the first L2 table, for programs" },
  ],
  help: [
    { command: "help convert", about: "a command's options and examples" },
    { command: "help --man convert > img-convert.1", about: "a command's page of the manual" },
  ],
  info: [
    { command: "info disk.qcow2", about: "format, sizes, backing image, snapshots" },
    { command: "info --backing-chain --output=json overlay.qcow2", about: "all images below as well, for programs" },
    { command: "info -U running.qcow2", about: "an image that a machine has open" },
    { command: "info --isolated stranger.qcow2", about: "an image that nobody vouches for" },
  ],
  io: [
    { command: "io -c 'read -v 0 512' disk.qcow2", about: "show the first sector" },
    {
      command: "io -c 'write -P 0xa5 1M 64k' -c 'read -P 0xa5 1M 64k' disk.qcow2",
      about: "write a pattern and verify it",
    },
    { command: "io -c help", about: "list the commands" },
  ],
  map: [
    { command: "map disk.qcow2", about: "what holds data, and where" },
    { command: "map --output=json disk.qcow2", about: "everything, for programs" },
    { command: "map --plot disk.qcow2", about: "a picture of what is allocated and how fragmented it is" },
    { command: "map --plot=svg disk.qcow2 > disk.svg", about: "the same as a drawing" },
  ],
  measure: [
    { command: "measure -O qcow2 disk.raw", about: "how large it would be as qcow2" },
    { command: "measure -O qcow2 -o cluster_size=2M --size 10T", about: "an empty disk and one that is full" },
  ],
  rebase: [
    {
      command: "rebase -b new.qcow2 -F qcow2 overlay.qcow2",
      about: "another backing image; the disk stays what it is",
    },
    { command: "rebase -u -b moved.qcow2 -F qcow2 overlay.qcow2", about: "the backing image only has another name" },
    { command: 'rebase -b "" overlay.qcow2', about: "no backing image any more" },
  ],
  resize: [
    { command: "resize disk.qcow2 +10G", about: "ten gibibytes more" },
    { command: "resize --shrink -f raw disk.raw 5G", about: "cut off what is behind 5 GiB" },
  ],
  snapshot: [
    { command: "snapshot -c before disk.qcow2", about: "keep what the disk is now" },
    { command: "snapshot -l disk.qcow2", about: "list all" },
    { command: "snapshot -a before disk.qcow2", about: "go back to it" },
    { command: "snapshot -d before disk.qcow2", about: "forget it" },
  ],
};

/** The examples of a verb's help. */
export function examplesOf({ name }: Verb): readonly Example[] {
  return examples[name] ?? [];
}
