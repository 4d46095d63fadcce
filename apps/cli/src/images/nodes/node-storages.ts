import { ImgError, type StorageOpener, type StorageOpeners } from "@img/format-core";
import type { BlockNode } from "./block-node.ts";

/** How names of nodes begin. */
const schemes = ["json", "blkdebug", "null-co", "null-aio"];

/**
 * Openers that open these nodes, and nothing else: a name of that kind in an image is no instruction.
 * @returns an object for `ImageSpec.storages`
 */
export function nodeStorages(...nodes: readonly BlockNode[]): StorageOpeners {
  const opener: StorageOpener = {
    open: (location, options) => found(nodes, location).open(options),
    *canonical(location) {
      return found(nodes, location).name;
    },
  };
  return Object.fromEntries(schemes.map((scheme) => [scheme, opener]));
}

function found(nodes: readonly BlockNode[], location: string): BlockNode {
  const node = nodes.find(({ name }) => name === location);
  if (node === undefined) {
    throw new ImgError("ERR_IMG_DENIED", `${location}: names of this kind mean something on command lines only`, {
      subject: location,
    });
  }
  return node;
}
