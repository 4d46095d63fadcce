import type { GateSpec } from "@img/operations/node";
import type { Plugins } from "../../plugins/plugins.ts";
import type { BlockdevOptions } from "../blockdev-options.ts";
import type { BlockdevSpec } from "../blockdev-spec.ts";
import type { ThrottleGroups } from "./throttle-groups.ts";

/** What a command line says about all nodes. */
export interface NodeContext {
  readonly plugins: Plugins;
  readonly groups: ThrottleGroups;
  /** What images below filters may open by themselves. */
  readonly gate: GateSpec;
  /** From `-U`. */
  readonly forceShare: boolean;
  /** The path that a name without options stands for. */
  locate(name: string): string;
}

/** What nodes are made with. */
export interface NodeSurroundings extends NodeContext {
  /** The image that options describe. */
  describe(options: BlockdevOptions): BlockdevSpec;
}
