import { CommandError, UsageError, type ParsedArguments } from "@img/cli";

const reasons: Readonly<Record<string, string>> = {
  connect:
    "Node can't attach to a device of the kernel: run 'nbd-client -unix SOCKET DEV' or 'qemu-nbd -c DEV nbd:unix:SOCKET' on what is served",
  disconnect: "Node can't attach to a device of the kernel: 'nbd-client -d DEV' detaches it",
  "tls-authz": "name who may come in with certificates or keys of their own",
  "tls-hostname": "--list expects certificates to be for the host that it connects to",
  trace: "there are no trace points: -v, -vv and --metrics tell what goes on",
  "selinux-label": "run the server under 'runcon'",
};

/** @throws CommandError for options of qemu-nbd that can't be had here, and for a mode that two options contradict about */
export function refuseOptions(args: ParsedArguments): void {
  for (const [option, reason] of Object.entries(reasons)) {
    if (args.has(option)) {
      throw new CommandError(`--${option} isn't supported [ERR_IMG_UNSUPPORTED]`, { hint: reason });
    }
  }
  if (args.has("nocache") && args.has("cache")) {
    throw new CommandError("-n and --cache can only be specified once");
  }
  if (args.has("list") && args.operands.length > 0) {
    throw new CommandError("List mode is incompatible with a file name");
  }
  if (!args.has("list") && args.operands.length === 0 && !args.has("export")) {
    throw new UsageError("Invalid number of arguments");
  }
}
