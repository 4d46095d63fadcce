import { ImgError, type Storage } from "@img/format-core";
import { rangeStorage } from "@img/storage-adapters";

/** What the export of a bridged module is called with. */
interface FetchLocation {
  readonly location: string;
}

/**
 * Opens what lies behind an address, to be read in ranges. A module for a bridge: the other side uses the storage without waiting.
 *
 * It is pinned: when the server has another version of it, reads fail.
 */
export async function open({ location }: FetchLocation): Promise<Storage> {
  const response = await fetch(location, { method: "HEAD", cache: "no-store" });
  const length = Number(response.headers.get("content-length"));
  const etag = response.headers.get("etag");
  if (!response.ok || response.headers.get("accept-ranges") !== "bytes" || etag === null) {
    const found = response.ok ? "no ranges, or no entity tag" : `status ${response.status}`;
    throw new ImgError(response.status === 404 ? "ENOENT" : "ERR_IMG_UNSUPPORTED", `${location}: ${found}`);
  }
  const storage = rangeStorage({
    size: length,
    label: location,
    getRange: (offset, count, signal) => getRange(location, etag, offset, count, signal),
  });
  return Object.assign(storage, { location, resolve: (name: string): string => new URL(name, location).href });
}

/** The one true spelling of an address. */
export async function canonical({ location }: FetchLocation): Promise<string> {
  return new URL(location).href;
}

async function getRange(
  location: string,
  etag: string,
  offset: number,
  count: number,
  signal: AbortSignal,
): Promise<ArrayBuffer> {
  const range = `bytes=${offset}-${offset + count - 1}`;
  const response = await fetch(location, { headers: { range, "if-match": etag }, cache: "no-store", signal });
  if (response.status === 412) throw new ImgError("EIO", `${location} has changed since it was opened`);
  if (response.status !== 206) throw new ImgError("EIO", `${location}: status ${response.status}, expected 206`);
  return response.arrayBuffer();
}
