import { formatExport, NbdServer } from "@img/nbd";
import { listenNbd } from "@img/nbd/node";
import { openImage } from "@img/operations/node";

// A server in a process of its own, which tests kill: `SOCKET FORMAT PATH`. Ends properly on SIGTERM.
const [socket = "", format = "", path = ""] = process.argv.slice(2);

const image = await openImage({ path, format, writable: true, blocking: "cached" });
const server = new NbdServer(new Map([["", formatExport(image)]]));
const listener = await listenNbd(server, { kind: "unix", path: socket });
process.once("SIGTERM", () => {
  void (async () => {
    await listener.close();
    await server.close();
    await image.close();
  })();
});
process.stdout.write("ready\n");
