import { rmSync, writeFileSync } from "node:fs";
import { diskContents } from "./guest-contents.ts";
import type { ImageSpec } from "./image-spec.ts";
import type { Random } from "./random.ts";
import { runProgram } from "./run-program.ts";
import { runTool } from "./run-tool.ts";
import type { Workshop } from "./workshop.ts";
import { writeProgram, type ProgramTarget } from "./write-program.ts";

/** The image below, as it has to be opened. */
export interface BuiltBacking {
  readonly path: string;
  readonly format: "raw" | "qcow2";
  /** How the overlay knows: from its header, by an option (its header names something that doesn't exist), or by probing. */
  readonly known: ImageSpec["backingFormat"];
}

interface LayerPlan {
  readonly format: "raw" | "qcow2";
  /** In bytes; a raw one's may be odd. */
  readonly size: number;
  readonly compressed?: boolean;
}

/** The layers below the image, the topmost first. */
function backingLayers(spec: ImageSpec, size: number): readonly LayerPlan[] {
  const sectors = (factor: number): number => Math.max(512, Math.floor((size * factor) / 512) * 512);
  switch (spec.backing) {
    case "none":
      return [];
    case "raw":
      return [{ format: "raw", size }];
    case "raw-odd-length":
      return [{ format: "raw", size: sectors(0.8) + 333 }];
    case "qcow2":
      return [{ format: "qcow2", size }];
    case "qcow2-compressed":
      return [{ format: "qcow2", size, compressed: true }];
    case "chain":
      return [
        { format: "qcow2", size },
        { format: "qcow2", size, compressed: true },
        { format: "raw", size },
      ];
    case "shorter":
      return [{ format: "qcow2", size: sectors(0.57) }];
    case "shorter-raw":
      return [{ format: "raw", size: sectors(0.31) }];
    case "longer":
      return [{ format: "qcow2", size: sectors(1.6) }];
    case "longer-raw":
      return [{ format: "raw", size: sectors(1.3) + 100 }];
    case "shorter-between":
      return [
        { format: "qcow2", size: sectors(0.43) },
        { format: "qcow2", size: sectors(1.2) },
      ];
  }
}

/** Makes the images below the one that `spec` describes, whose disk has `size` bytes, and gives the topmost of them. */
export function buildBacking(
  spec: ImageSpec,
  size: number,
  workshop: Workshop,
  random: Random,
): BuiltBacking | undefined {
  const layers = backingLayers(spec, size);
  let below: BuiltBacking | undefined;
  for (const [index, layer] of [...layers.entries()].reverse()) {
    const path = workshop.file(`backing-${String(index)}.${layer.format}`);
    const known = index === 0 ? spec.backingFormat : "recorded";
    if (layer.format === "raw") {
      writeFileSync(path, diskContents(layer.size, random));
    } else {
      buildLayer(layer, path, below, workshop, random);
    }
    below = { path, format: layer.format, known };
  }
  return below;
}

/** A qcow2 layer with geometry of its own. */
function buildLayer(
  layer: LayerPlan,
  path: string,
  below: BuiltBacking | undefined,
  workshop: Workshop,
  random: Random,
): void {
  const clusterSize = 512 << random.between(0, 9);
  const options = `cluster_size=${String(clusterSize)},compat=${random.pick(["0.10", "1.1"])}`;
  if (layer.compressed === true && below === undefined) {
    const source = workshop.file("layer.raw");
    writeFileSync(source, diskContents(layer.size, random));
    runTool("qemu-img", ["convert", "-c", "-f", "raw", "-O", "qcow2", "-o", options, source, path]);
    rmSync(source);
    return;
  }
  const backing = below === undefined ? [] : ["-b", below.path, "-F", below.format];
  runTool("qemu-img", ["create", "-q", "-f", "qcow2", "-o", options, ...backing, path, String(layer.size)]);
  const target: ProgramTarget = {
    clusterSize,
    size: layer.size,
    compresses: layer.compressed === true,
    patternPath: workshop.patternPath,
    touched: new Set(),
  };
  runProgram(path, writeProgram("mixed", target, random.between(4, 20), random));
}
