import { existsSync, writeFileSync } from "node:fs";
import type { Images } from "../../input/images.ts";
import { hasLibrary } from "../../run/native-library.ts";
import type { Programs } from "../../run/programs.ts";
import { expectSize } from "./expect-size.ts";
import type { Limit } from "./limit.ts";

/** Starting, and one small change that the disk has. */
export function commandLimits(images: Images, programs: Programs): Limit[] {
  const [made, changed] = [images.path("created.qcow2"), images.path("changed")];
  const locks = ["unlocked", ...(hasLibrary(null) ? ["locked"] : [])];
  return locks.flatMap((lock) => {
    const how = lock === "locked" ? ", locked by the native helper" : "";
    return [
      {
        of: "create qcow2 of 1 TiB (against node -e 0)",
        program: `a new file of 64 KiB, fdatasync${how}`,
        run: programs.bare("change-file", () => ["new", lock, made]),
        verify: () => expectSize(made, 65_536),
      },
      {
        of: "rebase -u (against node -e 0)",
        program: `512 bytes into a file, fdatasync${how}`,
        run: programs.bare("change-file", () => {
          if (!existsSync(changed)) {
            writeFileSync(changed, new Uint8Array(65_536).fill(1));
          }
          return ["old", lock, changed];
        }),
        verify: () => expectSize(changed, 65_536),
      },
    ];
  });
}
