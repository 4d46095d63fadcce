import { runSync, type Storage } from "@img/format-core";
import { loadHeader } from "../../src/header/load-header.ts";
import { entryLayout, ImageTables, sliceLengthFor } from "../../src/image-tables.ts";
import { DiskContents } from "../../src/mapping/disk-contents.ts";
import { loadInfo } from "../../src/open/load-info.ts";
import { ImageWriter } from "../../src/write/image-writer.ts";

const cacheSize = 65_536;

/** What an image that is opened for writing has in addition, without the image around it: for tests of its parts. */
export function openWriter(storage: Storage): ImageWriter {
  const loaded = runSync(loadHeader(storage));
  const info = runSync(loadInfo(storage, loaded));
  const layout = entryLayout(loaded.header);
  const writer = runSync(
    ImageWriter.open({
      storage,
      dataFile: null,
      loaded,
      snapshots: info.snapshots,
      bitmaps: info.bitmaps,
      layout,
      sliceLength: sliceLengthFor(layout.clusterSize),
      options: {
        overlapCheck: "cached",
        discardNoUnref: false,
        passDiscards: true,
        l2CacheSize: cacheSize,
        refcountCacheSize: cacheSize,
        bitmapMemory: cacheSize,
      },
    }),
  );
  const tables = new ImageTables({
    storage,
    dataFile: null,
    backing: null,
    header: loaded.header,
    snapshot: undefined,
    codec: () => {
      throw new Error("nothing is decompressed here");
    },
    l2CacheSize: undefined,
    clusterCacheSize: undefined,
    writer,
  });
  writer.attach(new DiskContents(tables, null));
  return writer;
}
