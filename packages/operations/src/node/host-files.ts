import * as fs from "node:fs";
import { promisify } from "node:util";

/**
 * What `node:fs/promises` would do. Loading that takes Node 20 some milliseconds, in which a command makes a whole image, since its file handles need
 * all of Node's streams.
 */
export const access = promisify(fs.access);
export const chmod = promisify(fs.chmod);
export const chown = promisify(fs.chown);
export const close = promisify(fs.close);
export const fsync = promisify(fs.fsync);
export const open = promisify(fs.open);
export const readFile = promisify(fs.readFile);
export const readlink = promisify(fs.readlink);
export const realpath = promisify(fs.realpath.native);
export const rename = promisify(fs.rename);
export const stat = promisify(fs.stat);
export const unlink = promisify(fs.unlink);
