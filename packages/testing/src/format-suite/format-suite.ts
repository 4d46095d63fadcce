import { SeededRandom } from "../random/seeded-random.ts";
import type { TestCase } from "../suite/test-case.ts";
import { runIn } from "../suite/world.ts";
import { formatCases } from "./cases/format-cases.ts";
import type { FormatCase } from "./format-case.ts";
import type { FormatFactory, FormatManifest } from "./format-manifest.ts";
import { FormatSubject } from "./format-subject.ts";
import { formatVariants, type FormatVariant } from "./format-variant.ts";
import { ImageMaker } from "./image-maker.ts";
import { mixedDisk } from "./mixed-disk.ts";

/**
 * The cases that prove a format: that its images read as the disk that was put into them, and keep what is written, in both worlds, on storages that
 * answer late or want aligned requests, when storages fail, and when the power is cut.
 *
 * @param factory - makes the images to test; each case works on its own copy
 * @param options - the manifest: what the format can do
 * @throws RangeError when the manifest's sizes don't fit together
 */
export function formatSuite(factory: FormatFactory, options: FormatManifest = {}): TestCase[] {
  const manifest = { creates: factory.create !== undefined || factory.format.canCreate, ...options };
  const { blockSize = 65536, diskSize = 7 * blockSize + 4096 } = manifest;
  if (diskSize % 4096 !== 0 || diskSize < 7 * blockSize) {
    throw new RangeError(`disk size ${String(diskSize)}: expected a multiple of 4096, and at least 7 blocks`);
  }
  const disk = mixedDisk(diskSize, blockSize, new SeededRandom(manifest.seed ?? 1));
  const maker = new ImageMaker(factory, manifest);
  let made: Promise<readonly Uint8Array[]> | undefined;
  const files = (): Promise<readonly Uint8Array[]> => (made ??= maker.image(disk));
  return formatCases(manifest)
    .filter((each) => each.when?.(manifest) ?? true)
    .flatMap((each) =>
      variantsOf(each, manifest).map((variant) => ({
        name: `${each.name} (${variant.name})`,
        run: async () => {
          const random = new SeededRandom(manifest.seed ?? 1);
          await runCase(each, { factory, manifest, maker, variant, random, files: await files(), disk });
        },
      })),
    );
}

function variantsOf(each: FormatCase, manifest: FormatManifest): FormatVariant[] {
  const { variants = "all" } = each;
  return formatVariants.filter(
    ({ plain, world }) =>
      (plain || variants === "all") && (world === "async" || (variants !== "async" && manifest.sync !== false)),
  );
}

async function runCase(each: FormatCase, options: ConstructorParameters<typeof FormatSubject>[0]): Promise<void> {
  const subject = new FormatSubject(options);
  const { world } = options.variant;
  const { opens = "writable" } = each;
  try {
    if (opens !== "itself") {
      await runIn(world, subject.open(opens === "read-only" ? { writable: false } : {}));
    }
    await runIn(world, each.run(subject));
  } catch (error) {
    // the case's failure is the one to hear of
    await runIn(world, subject.close()).catch(() => undefined);
    throw error;
  }
  await runIn(world, subject.close());
}
