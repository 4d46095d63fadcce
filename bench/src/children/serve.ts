import { formatExport, NbdServer } from "@img/nbd";
import { listenNbd, loadPskFile, serverTls } from "@img/nbd/node";
import { openImage } from "@img/operations/node";

/** What is measured of the NBD server: `serve SOCKET FORMAT PATH ro|rw [KEYS]`. Serves until it is killed. */
const [socket = "", format = "raw", path = "", mode = "ro", keys] = process.argv.slice(2);

const writable = mode === "rw";
const image = await openImage({ path, format, writable, blocking: "cached", gate: "allow-all", durable: false });
const tls = keys === undefined ? {} : { tls: serverTls(await loadPskFile(keys)) };
const server = new NbdServer(new Map([["", formatExport(image)]]), tls);
await listenNbd(server, { kind: "unix", path: socket });
