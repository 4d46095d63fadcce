import { openerFromFunctions, type StorageOpener, type StorageOpeners } from "@img/format-core";
import type { Plugins } from "./plugins.ts";

/** What the client of NBD brings, loaded when the first name asks for it. */
const load = (): Promise<typeof import("@img/nbd/node")> => import("@img/nbd/node");

/** Opens exports of NBD servers; QEMU's older names (`nbd:host:port`) are among those of the first scheme. */
const opener: StorageOpener = openerFromFunctions({
  open: async (location, { writable }) => (await load()).openNbd(location, { writable }),
  canonical: async (location) => (await load()).canonicalNbdUri(location),
});

/** The schemes of NBD URIs. Some are here to be refused by name, instead of being taken for files. */
const nbdStorages: StorageOpeners = Object.fromEntries(
  ["nbd", "nbds"].flatMap((scheme) =>
    ["", "+tcp", "+unix", "+vsock", "+ssh"].map((transport) => [scheme + transport, opener]),
  ),
);

/** What plug-ins bring, and NBD where none of them has taken it over. */
export function withNbd({ formats, storages }: Plugins): Plugins {
  return { formats, storages: { ...nbdStorages, ...storages } };
}
