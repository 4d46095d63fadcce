import type { OptionDefinition } from "@img/cli";

/** Options that belong together, as the help shows them. */
export interface OptionGroup {
  readonly title: string;
  readonly options: readonly OptionDefinition[];
}

const what: readonly OptionDefinition[] = [
  {
    long: "format",
    short: "f",
    value: "fmt",
    help: "format of the images (raw, qcow2): allows to write; guessed unless given",
  },
  { long: "read-only", short: "r", help: "clients may not write" },
  { long: "snapshot", short: "s", help: "what clients write goes to a scratch overlay, and is gone in the end" },
  {
    long: "load-snapshot",
    short: "l",
    value: "snapshot",
    help: "an internal snapshot: its id or name, or snapshot.id=ID,snapshot.name=NAME",
  },
  { long: "all-snapshots", help: "every internal snapshot is an export, too, called NAME@SNAPSHOT" },
  { long: "bitmap", short: "B", value: "name", help: "offer a persistent dirty bitmap; can be repeated" },
  { long: "all-bitmaps", help: "offer all bitmaps that can be read" },
  { long: "allocation-depth", short: "A", help: "offer to tell in which layer data lies" },
  { long: "offset", short: "o", value: "offset", help: "leave out the beginning of the disk" },
  {
    long: "export-name",
    short: "x",
    value: "name",
    help: "what the export is called; default: nothing, or with several images the file's name",
  },
  { long: "description", short: "D", value: "text", help: "describe the export to people" },
  {
    long: "export",
    value: "options",
    help: "one more export: file=PATH,name=NAME,format=FMT,read-only=on,…; can be repeated",
  },
  { long: "image-opts", help: "names are options: driver=qcow2,file.filename=a.qcow2" },
  { long: "isolated", help: "open nothing that an image names: no backing image, no data file" },
  {
    long: "plugin",
    value: "module",
    unabbreviated: true,
    help: "load formats and storages: a path from ./ or /, or a package; can be repeated",
  },
];

const where: readonly OptionDefinition[] = [
  { long: "port", short: "p", value: "port", help: "TCP port; default 10809, 0: any free one" },
  {
    long: "bind",
    short: "b",
    value: "address",
    help: "address to listen on; default localhost, 0.0.0.0 or :: for all",
  },
  { long: "socket", short: "k", value: "path", help: "listen on a Unix socket instead" },
  { long: "socket-mode", value: "mode", help: "permissions of the Unix socket, octal; default: what the umask leaves" },
  { long: "allow", value: "network", help: "accept clients from this address or network only; can be repeated" },
  { long: "deny", value: "network", help: "accept no clients from this address or network; can be repeated" },
  {
    long: "object",
    value: "options",
    help: "tls-creds-x509,id=ID,dir=DIR[,verify-peer=off] or tls-creds-psk,id=ID,dir=DIR",
  },
  { long: "tls-creds", value: "id", help: "use TLS with the credentials of that --object" },
  {
    long: "tls-certificates",
    value: "dir",
    help: "use TLS with ca-cert.pem, server-cert.pem and server-key.pem from there",
  },
  { long: "tls-psk", value: "file", help: "use TLS with the keys in this file" },
  { long: "tls-verify-peer", help: "clients have to show a certificate, with --tls-certificates" },
  { long: "tls", value: "mode", help: "required (default) or optional, once there are credentials" },
];

const running: readonly OptionDefinition[] = [
  { long: "persistent", short: "t", help: "go on when the last client has left" },
  {
    long: "shared",
    short: "e",
    value: "count",
    help: "so many clients at once, others wait; 0: as many as come; default: nobody waits",
  },
  { long: "fork", help: "go on in the background once clients can come" },
  { long: "pid-file", value: "path", help: "write the process's number there" },
  { long: "grace", value: "seconds", help: "how long clients may take to finish when the server ends; default 5" },
];

const limits: readonly OptionDefinition[] = [
  {
    long: "max-connections",
    value: "count",
    help: "drop further connections; default 100, or --shared if that is more",
  },
  { long: "max-bytes-per-second", value: "size", help: "of each export, reading and writing together" },
  { long: "max-requests-per-second", value: "count", help: "of each export" },
  {
    long: "handshake-limit",
    value: "seconds",
    help: "drop clients that haven't chosen an export by then; default 10, 0: never",
  },
  { long: "idle-limit", value: "seconds", help: "drop clients that ask for nothing so long; default 0: never" },
  {
    long: "stall-limit",
    value: "seconds",
    help: "drop clients that take nothing of their answers so long; default 60, 0: never",
  },
];

const disks: readonly OptionDefinition[] = [
  { long: "cache", value: "mode", help: "writeback (default), none, writethrough, directsync or unsafe" },
  { long: "nocache", short: "n", help: "the same as --cache=none" },
  { long: "discard", value: "mode", help: "unmap (default): clients can free space; ignore" },
  { long: "detect-zeroes", value: "mode", help: "off (default); on, unmap: zeroes that clients write take no space" },
  { long: "aio", value: "mode", help: "threads, native, io_uring: understood, without effect", hidden: true },
];

const telling: readonly OptionDefinition[] = [
  { long: "verbose", short: "v", help: "log clients that come and go; twice: every request" },
  { long: "log-format", value: "format", help: "text (default) or json" },
  { long: "log-file", value: "path", help: "append to a file instead of the standard error output" },
  { long: "metrics", value: "address", help: "serve figures for Prometheus over HTTP: [HOST:]PORT, or unix:PATH" },
  { long: "quiet", short: "q", help: "don't print the URIs" },
  { long: "list", short: "L", help: "list the exports of another server" },
  { long: "help", short: "h", help: "print this help" },
  { long: "version", short: "V", help: "print the version" },
];

const refused: readonly OptionDefinition[] = [
  { long: "connect", short: "c", value: "dev", help: "", hidden: true },
  { long: "disconnect", short: "d", help: "", hidden: true },
  { long: "tls-authz", value: "id", help: "", hidden: true },
  { long: "tls-hostname", value: "name", help: "", hidden: true },
  { long: "trace", short: "T", value: "pattern", help: "", hidden: true },
  { long: "selinux-label", value: "label", help: "", hidden: true },
];

/** Everything that the program understands, if only to refuse it by name. */
export const optionGroups: readonly OptionGroup[] = [
  { title: "What is served", options: what },
  { title: "Where, and to whom", options: where },
  { title: "How the server runs", options: running },
  { title: "Limits", options: limits },
  { title: "How images are used", options: disks },
  { title: "What it tells", options: telling },
  { title: "", options: refused },
];
