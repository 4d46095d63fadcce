import { isImgError, type FormatAccess } from "@img/format-core";
import { bench } from "@img/operations";
import type { ParsedArguments } from "../arguments/parsed-arguments.ts";
import { CommandError } from "../errors/command-error.ts";
import { describeImgError } from "../errors/report-error.ts";
import { strerror } from "../errors/strerror.ts";
import { imageSpec, openNamed, type SpecifiedImage } from "../images/open-named.ts";
import { closeAfter, openWritable } from "../images/open-writable.ts";
import { benchRequest, type BenchRequest } from "../values/bench-request.ts";
import { oneOperand } from "../values/operand.ts";
import type { VerbContext } from "./verb.ts";

/** `img bench`. */
export async function run({ args, terminal, signal }: VerbContext): Promise<number> {
  const request = benchRequest(args);
  const { settings } = request;
  const named = nameImage(args, request);
  const image = settings.write ? await openWritable(named, { terminal, signal }) : await openNamed(named, signal);
  await terminal.print(announcement(request));
  await terminal.flush();
  const seconds = await measure(image, async () => (await bench(image, { ...settings, signal })).seconds);
  await terminal.print(`Run completed in ${seconds.toFixed(3)} seconds.\n`);
  return 0;
}

function nameImage(args: ParsedArguments, { cache, nativeAio, settings }: BenchRequest): SpecifiedImage {
  const named = imageSpec(oneOperand(args), args, args.value("format"), { direct: cache.direct });
  const conflicts: readonly (readonly [boolean, string])[] = [
    [nativeAio && !cache.direct, "aio=native was specified, but it requires cache.direct=on, which was not specified."],
    [settings.write && args.has("force-share"), "force-share=on can only be used with read-only images"],
  ];
  for (const [conflict, message] of conflicts) {
    if (conflict) {
      throw new CommandError(`Could not open '${named.name}': ${message}`);
    }
  }
  return cache.sync ? named : { ...named, spec: { ...named.spec, durable: false } };
}

function announcement({ settings }: BenchRequest): string {
  const { write, count, length, depth, offset, step, flushInterval } = settings;
  const first =
    `Sending ${String(count)} ${write ? "write" : "read"} requests, ${String(length)} bytes each, ` +
    `${String(depth)} in parallel (starting at offset ${String(offset)}, step size ${String(step)})\n`;
  return flushInterval === 0 ? first : `${first}Sending flush every ${String(flushInterval)} requests\n`;
}

async function measure(image: FormatAccess, work: () => Promise<number>): Promise<number> {
  let seconds: number;
  try {
    seconds = await work();
  } catch (error) {
    await closeAfter(image);
    throw benchFailure(error);
  }
  await image.close();
  return seconds;
}

function benchFailure(error: unknown): unknown {
  if (!isImgError(error)) {
    return error;
  }
  const reason = error.code === "ERR_IMG_OUT_OF_RANGE" ? "Input/output error" : strerror(error.code);
  return new CommandError(`Failed request: ${reason ?? describeImgError(error)}`, {
    cause: error,
    ...(error.code === "ERR_IMG_OUT_OF_RANGE" ? { hint: error.message } : {}),
  });
}
