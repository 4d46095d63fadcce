import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ImgError, MemoryStorage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { afterAll, beforeAll, expect, test } from "vitest";
import { NbdServer, storageExport } from "../../src/index.ts";
import { listenNbd, loadPskFile, loadX509Directory, openNbd, serverTls } from "../../src/node.ts";
import { makeCredentials } from "../helpers/certificates.ts";
import { serveOnSocket } from "../helpers/served.ts";
import { startServer } from "../helpers/storage-server.ts";

let directory: string;
const at = (name: string): string => join(directory, name);

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "img-nbd-client-tls-"));
  makeCredentials(directory);
  writeFileSync(at("bob.psk"), "bob:00ff00ff00ff00ff00ff00ff00ff00ff\n");
  writeFileSync(at("wrong.psk"), "alice:ffffffffffffffffffffffffffffffff\n");
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

const exports = (): Map<string, ReturnType<typeof storageExport>> =>
  new Map([["", storageExport(new MemoryStorage(new Uint8Array(3 * 1024 * 1024).fill(7)))]]);

/** Reads all of the export and writes a byte; or the code of what went wrong. */
async function use(uri: string): Promise<string> {
  try {
    await using storage = await openNbd(uri, { writable: true, handshakeTimeout: 5000 });
    const bytes = new Uint8Array(storage.size);
    await storage.read(IoVector.single(bytes), 0);
    await storage.write(IoVector.single(bytes.subarray(0, 1)), 1);
    await storage.sync();
    return `${String(bytes.length)} bytes of ${String(bytes.at(-1))}`;
  } catch (error) {
    expect(error).toBeInstanceOf(ImgError);
    return error instanceof ImgError ? error.code : "";
  }
}

const fine = "3145728 bytes of 7";

test("our server's certificate is checked: who has signed it, and for whom", async () => {
  await using served = await serveOnSocket(exports(), { tls: serverTls(await loadX509Directory(directory, "server")) });
  const uri = (host: string, rest: string): string => `nbds+unix://${host}/?socket=${served.path}${rest}`;
  expect(await use(uri("localhost", `&tls-certificates=${directory}`))).toBe(fine);
  expect(await use(uri("", `&tls-certificates=${directory}`))).toBe(fine);
  expect(await use(uri("other", `&tls-certificates=${directory}`))).toBe("ERR_TLS_CERT_ALTNAME_INVALID");
  expect(await use(uri("other", `&tls-certificates=${directory}&tls-hostname=localhost`))).toBe(fine);
  expect(await use(uri("localhost", `&tls-certificates=${at("foreign")}`))).toMatch(/SELF_SIGNED|UNABLE_TO_VERIFY/);
  expect(await use(uri("localhost", ""))).toMatch(/SELF_SIGNED|UNABLE_TO_VERIFY/);
  expect(await use(uri("other", "&tls-verify-peer=0"))).toBe(fine);
  expect(await use(`nbd+unix:///?socket=${served.path}`)).toBe("ERR_IMG_DENIED");
  expect(await use(uri("localhost", "&tls-certificates=/nowhere"))).toBe("ENOENT");
});

test("addresses are compared with what the certificate says", async () => {
  const server = new NbdServer(exports(), { tls: serverTls(await loadX509Directory(directory, "server")) });
  await using listener = await listenNbd(server, { kind: "tcp", host: "127.0.0.1", port: 0 });
  const port = "port" in listener.address ? String(listener.address.port) : "";
  expect(await use(`nbds://127.0.0.1:${port}/?tls-certificates=${directory}`)).toBe(fine);
  expect(await use(`nbds://localhost:${port}/?tls-certificates=${directory}`)).toBe(fine);
  await server.close({ grace: 100 });
});

test("a key proves both sides to each other", async () => {
  await using served = await serveOnSocket(exports(), { tls: serverTls(await loadPskFile(at("keys.psk"))) });
  const uri = (user: string, file: string): string =>
    `nbds+unix://${user}/?socket=${served.path}&tls-psk-file=${at(file)}`;
  expect(await use(uri("alice@", "keys.psk"))).toBe(fine);
  expect(await use(uri("", "bob.psk"))).toBe(fine);
  expect(await use(uri("", "keys.psk"))).toBe("EINVAL");
  expect(await use(uri("eve@", "keys.psk"))).toBe("EINVAL");
  expect(await use(uri("alice@", "wrong.psk"))).toMatch(/^(ERR_SSL_|ECONNRESET|EPROTO)/);
});

test("a server that shows a certificate hasn't proved that it knows the key", async () => {
  await using served = await serveOnSocket(exports(), { tls: serverTls(await loadX509Directory(directory, "server")) });
  const uri = `nbds+unix://alice@localhost/?socket=${served.path}&tls-psk-file=${at("keys.psk")}`;
  expect(await use(uri)).not.toBe(fine);
});

test("nbdkit by certificates, which asks for ours, and by a key", async () => {
  const start = (...args: readonly string[]): ReturnType<typeof startServer> =>
    startServer("nbdkit", ["-f", "-U", "SOCKET", "--tls=require", ...args, "memory", "3M"]);
  await using byCertificate = await start(`--tls-certificates=${directory}`, "--tls-verify-peer");
  const uri = `nbds+unix://localhost/?socket=${byCertificate.socket}`;
  expect(await use(`${uri}&tls-certificates=${directory}`)).toBe("3145728 bytes of 0");
  expect(await use(`${uri}&tls-verify-peer=0`)).not.toMatch(/bytes/);
  await using byKey = await start(`--tls-psk=${at("keys.psk")}`);
  const byKeyUri = `nbds+unix://alice@/?socket=${byKey.socket}&tls-psk-file=${at("keys.psk")}`;
  expect(await use(byKeyUri)).toBe("3145728 bytes of 0");
});

test("qemu-nbd by a key", async () => {
  writeFileSync(at("disk"), Buffer.alloc(3 * 1024 * 1024, 7));
  await using server = await startServer("qemu-nbd", [
    ...["-t", "-e", "8", "-f", "raw", "-k", "SOCKET"],
    ...["--object", `tls-creds-psk,id=tls0,dir=${directory},endpoint=server`, "--tls-creds", "tls0", at("disk")],
  ]);
  expect(await use(`nbds+unix://alice@/?socket=${server.socket}&tls-psk-file=${at("keys.psk")}`)).toBe(fine);
});
