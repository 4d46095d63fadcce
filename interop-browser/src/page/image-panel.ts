import { info, map, qemuInfo, type MapEntry } from "@img/operations";
import { element } from "./element.ts";
import { formatBytes } from "./format-bytes.ts";
import { openChosen } from "./open-chosen.ts";
import { readDisk } from "./read-disk.ts";
import { showInfo } from "./show-info.ts";
import { showMap } from "./show-map.ts";

/** Runs that the page shows at most: a map may have millions. */
const runLimit = 100_000;

/** Opens the chosen image and shows what it says, where its runs are, and the checksum of all that it holds. */
export async function showImage(image: File, others: readonly File[]): Promise<void> {
  const disk = await openChosen(image, others);
  try {
    const facts = await info(disk, { filename: image.name });
    showInfo(element("info", HTMLElement), facts, image.size);
    element("info-json", HTMLElement).textContent = JSON.stringify(qemuInfo(facts), null, 2);
    showMap(mapView(), await collect(map(disk)), disk.size);
    element("image-panel", HTMLElement).hidden = false;
    await showContents(disk);
  } finally {
    await disk.close();
  }
}

async function showContents(disk: Parameters<typeof readDisk>[0]): Promise<void> {
  const progress = element("read-progress", HTMLProgressElement);
  const { sha256, length, milliseconds } = await readDisk(disk, (done, total) => {
    progress.max = total;
    progress.value = done;
  });
  const rate = formatBytes((length / Math.max(milliseconds, 1)) * 1000);
  element("sha256", HTMLElement).textContent = sha256;
  element("read-note", HTMLElement).textContent =
    `${formatBytes(length)} read and hashed in ${String(Math.round(milliseconds))} ms, ${rate}/s`;
}

async function collect(entries: AsyncIterable<MapEntry>): Promise<MapEntry[]> {
  const collected: MapEntry[] = [];
  for await (const entry of entries) {
    collected.push(entry);
    if (collected.length === runLimit) break;
  }
  return collected;
}

function mapView(): Parameters<typeof showMap>[0] {
  return {
    grid: element("map-grid", HTMLElement),
    legend: element("map-legend", HTMLElement),
    table: element("map-rows", HTMLElement),
    more: element("map-more", HTMLElement),
    json: element("map-json", HTMLElement),
  };
}
