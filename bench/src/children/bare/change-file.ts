import { closeSync, fdatasyncSync, openSync, writeSync } from "node:fs";
import { nativeHelper } from "./native-helper.ts";

/** The least that a program has to do that makes or changes an image: `change-file new|old unlocked|locked PATH`. Waits for the disk. */
const [mode = "", lock = "", path = ""] = process.argv.slice(2);

const setLock = 37; // F_OFD_SETLK
const fd = openSync(path, mode === "new" ? "wx+" : "r+");
if (lock === "locked") {
  const fcntl = nativeHelper().load(null).func("int fcntl(int fd, int command, uint8_t *lock)");
  // struct flock: byte 100 for reading, as QEMU begins
  const flock = Buffer.alloc(32);
  flock.writeBigInt64LE(100n, 8);
  flock.writeBigInt64LE(1n, 16);
  if (fcntl(fd, setLock, flock) !== 0) {
    throw new Error(`${path}: can't be locked`);
  }
}
if (mode === "new") {
  writeSync(fd, new Uint8Array(65_536).fill(1), 0, 65_536, 0);
} else {
  // what is there already would be nothing to wait for
  writeSync(fd, process.hrtime.bigint().toString().padEnd(512, " "), 0);
}
fdatasyncSync(fd);
closeSync(fd);
