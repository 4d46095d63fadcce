import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from "node:tls";
import { MemoryStorage } from "@img/format-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { SocketStream } from "../../src/node/socket-stream.ts";
import { pskCiphers, serverTls, type ServerTlsOptions } from "../../src/node/server-tls.ts";
import { loadPskFile, loadX509Directory } from "../../src/node/tls-credentials.ts";
import { optionTypes } from "../../src/protocol/handshake-numbers.ts";
import { serializeOption } from "../../src/protocol/option.ts";
import { commands } from "../../src/protocol/transmission-numbers.ts";
import { storageExport } from "../../src/server/storage-export.ts";
import type { NbdExport } from "../../src/server/nbd-export.ts";
import type { ServerTls } from "../../src/server/server-options.ts";
import { Probe } from "../conformance/probe.ts";
import { runTool, tool } from "../helpers/run-tool.ts";
import { serveOnSocket, type Served } from "../helpers/served.ts";

let directory: string;
const at = (name: string): string => join(directory, name);

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "img-nbd-tls-"));
  const run = (...args: string[]): void => {
    execFileSync("openssl", args, { cwd: directory, stdio: "ignore" });
  };
  const authority = (name: string): void => {
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    run("req", "-x509", ...key, "-keyout", `${name}-key.pem`, "-out", `${name}-cert.pem`, "-subj", `/CN=${name}`);
  };
  const signed = (name: string, subject: string, by: string): void => {
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    run("req", ...key, "-keyout", `${name}-key.pem`, "-out", `${name}.csr`, "-subj", `/CN=${subject}`);
    writeFileSync(at("ext"), `subjectAltName=DNS:${subject}\nbasicConstraints=CA:FALSE\n`);
    const authorityFiles = ["-CA", `${by}-cert.pem`, "-CAkey", `${by}-key.pem`, "-CAcreateserial", "-extfile", "ext"];
    run("x509", "-req", "-in", `${name}.csr`, ...authorityFiles, "-out", `${name}-cert.pem`);
  };
  authority("ca");
  authority("foreign-ca");
  signed("server", "localhost", "ca");
  signed("client", "alice", "ca");
  signed("mallory", "alice", "foreign-ca");
  writeFileSync(at("keys.psk"), "# keys\nalice:0123456789abcdef0123456789abcdef\nbob:00ff\n");
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

function disk(options: { readonly tlsRequired?: boolean } = {}): NbdExport {
  return storageExport(new MemoryStorage(new Uint8Array(1024 * 1024).fill(7)), options);
}

async function x509(options: ServerTlsOptions = {}): Promise<ServerTls> {
  return serverTls(await loadX509Directory(directory, "server"), options);
}

/** Asks for TLS the way a client does, and reads a byte of the export. */
async function readByTls(served: Served, options: ConnectionOptions): Promise<string> {
  const raw = connect({ path: served.path, allowHalfOpen: true });
  const plain = new SocketStream(raw);
  const probe = await Probe.greet(plain);
  if ((await probe.option(optionTypes.startTls)) !== "ACK") {
    throw new Error("no TLS");
  }
  try {
    const socket = await new Promise<TLSSocket>((resolve, reject) => {
      const secure = connectTls({ socket: plain.release(), servername: "localhost", ...options }, () => {
        resolve(secure);
      });
      secure.on("error", reject);
    });
    const inside = new Probe(new SocketStream(socket));
    await inside.option(optionTypes.structuredReply);
    await inside.info(optionTypes.go, "disk");
    inside.style = "structured";
    const { data } = await inside.call({ type: commands.read, length: 1 });
    socket.destroy();
    return String(data[0]);
  } catch {
    raw.destroy();
    return "refused";
  }
}

test("libnbd's tools read and write by certificates, and see that it is TLS", async () => {
  await using served = await serveOnSocket(new Map([["disk", disk()]]), { tls: await x509() });
  const uri = `nbds+unix://localhost/disk?socket=${served.path}&tls-certificates=${directory}`;
  const info = JSON.parse(await tool("nbdinfo", "--json", uri)) as { readonly TLS: boolean };
  expect(info.TLS).toBe(true);
  await tool("nbdcopy", "--connections=4", uri, at("copy"));
  await tool("nbdcopy", at("copy"), uri);
});

test("libnbd's tools read by a key that both sides know", async () => {
  const tls = serverTls(await loadPskFile(at("keys.psk")));
  await using served = await serveOnSocket(new Map([["disk", disk()]]), { tls });
  const uri = (user: string, file: string): string =>
    `nbds+unix://${user}@localhost/disk?socket=${served.path}&tls-psk-file=${file}`;
  await tool("nbdcopy", uri("alice", at("keys.psk")), at("copy"));
  writeFileSync(at("wrong.psk"), "alice:ffffffffffffffffffffffffffffffff\n");
  expect((await runTool("nbdinfo", [uri("alice", at("wrong.psk"))])).code).not.toBe(0);
  writeFileSync(at("unknown.psk"), "eve:ffffffffffffffffffffffffffffffff\n");
  expect((await runTool("nbdinfo", [uri("eve", at("unknown.psk"))])).code).not.toBe(0);
});

test("qemu-img reads by certificates and by a key", async () => {
  await using byCertificate = await serveOnSocket(new Map([["disk", disk()]]), {
    tls: await x509({ verifyPeer: true }),
  });
  const image = (served: Served): string =>
    `driver=raw,file.driver=nbd,file.server.type=unix,file.server.path=${served.path},file.export=disk,file.tls-creds=tls0,file.tls-hostname=localhost`;
  const credentials = `tls-creds-x509,id=tls0,dir=${directory},endpoint=client,verify-peer=on`;
  await tool("qemu-img", "info", "--object", credentials, "--image-opts", image(byCertificate));
  await using byKey = await serveOnSocket(new Map([["disk", disk()]]), {
    tls: serverTls(await loadPskFile(at("keys.psk"))),
  });
  const key = `tls-creds-psk,id=tls0,dir=${directory},endpoint=client,username=alice`;
  await tool(
    "qemu-img",
    "info",
    "--object",
    key,
    "--image-opts",
    image(byKey).replace(",file.tls-hostname=localhost", ""),
  );
});

test("a client has to show a certificate of our authority, where that is asked for", async () => {
  const seen: (string | undefined)[] = [];
  const tls = await x509({ verifyPeer: true });
  const observer = { ready: ({ identity }: { identity: string | undefined }) => seen.push(identity) };
  await using served = await serveOnSocket(new Map([["disk", disk()]]), { tls, observer });
  const { ca } = await loadX509Directory(directory, "client");
  const { cert, key } = await loadX509Directory(directory, "client");
  expect(await readByTls(served, { ca, cert, key })).toBe("7");
  expect(seen).toEqual(["CN=alice"]);
  expect(await readByTls(served, { ca })).toBe("refused");
  const foreign = {
    cert: execFileSync("cat", [at("mallory-cert.pem")]),
    key: execFileSync("cat", [at("mallory-key.pem")]),
  };
  expect(await readByTls(served, { ca, ...foreign })).toBe("refused");
  expect(seen).toHaveLength(1);
});

test("who has proved who it is may still not be let in", async () => {
  const tls = await x509({ verifyPeer: true, authorize: (identity) => identity === "CN=bob" });
  await using served = await serveOnSocket(new Map([["disk", disk()]]), { tls });
  const { ca, cert, key } = await loadX509Directory(directory, "client");
  expect(await readByTls(served, { ca, cert, key })).toBe("refused");
});

test("AES comes first of the suites for keys, and keys with the wrong secret are refused", async () => {
  await using served = await serveOnSocket(new Map([["disk", disk()]]), {
    tls: serverTls(await loadPskFile(at("keys.psk"))),
  });
  const by = (secret: string): ConnectionOptions => ({
    ciphers: pskCiphers,
    checkServerIdentity: () => undefined,
    pskCallback: () => ({ identity: "alice", psk: Buffer.from(secret, "hex") }),
  });
  expect(await readByTls(served, by("0123456789abcdef0123456789abcdef"))).toBe("7");
  expect(await readByTls(served, by("0123456789abcdef0123456789abcdee"))).toBe("refused");
});

test("where TLS is required, nothing is said without it", async () => {
  await using served = await serveOnSocket(new Map([["disk", disk()]]), { tls: await x509() });
  const open = async (): Promise<Probe> => Probe.greet(new SocketStream(connect(served.path)));
  const probe = await open();
  expect(await probe.option(optionTypes.list)).toBe("ERR_TLS_REQD");
  expect(await probe.option(optionTypes.structuredReply)).toBe("ERR_TLS_REQD");
  expect(await probe.info(optionTypes.go, "disk")).toBe("ERR_TLS_REQD");
  expect(await probe.option(optionTypes.abort)).toBe("ACK");
  const old = await open();
  await old.send(serializeOption({ option: optionTypes.exportName, data: new TextEncoder().encode("disk") }));
  expect(await old.ending()).toBe("closed");
});

test("where TLS is optional, exports may need it all the same, and aren't shown without it", async () => {
  const exports = new Map([
    ["open", disk()],
    ["secret", disk({ tlsRequired: true })],
  ]);
  await using served = await serveOnSocket(exports, { tls: await x509({ mode: "optional" }) });
  const probe = await Probe.greet(new SocketStream(connect(served.path)));
  expect(await probe.option(optionTypes.list)).toBe("SERVER+ACK");
  expect(await probe.info(optionTypes.info, "secret")).toBe("ERR_TLS_REQD");
  expect(await probe.info(optionTypes.go, "open")).toBe("ACK");
  const uri = `nbds+unix://localhost/?socket=${served.path}&tls-certificates=${directory}`;
  const list = JSON.parse(await tool("nbdinfo", "--json", "--list", uri)) as { readonly exports: unknown[] };
  expect(list.exports).toHaveLength(2);
});

test("bytes that come in the clear behind STARTTLS end the connection", async () => {
  await using served = await serveOnSocket(new Map([["disk", disk()]]), { tls: await x509() });
  const probe = await Probe.greet(new SocketStream(connect(served.path)));
  const option = (number: number): Uint8Array => serializeOption({ option: number, data: new Uint8Array() });
  await probe.stream.write([Buffer.concat([option(optionTypes.startTls), option(optionTypes.list)])]);
  expect(await probe.ending()).toBe("closed");
});

test("what was agreed on in the clear is forgotten", async () => {
  await using served = await serveOnSocket(new Map([["disk", disk()]]), { tls: await x509({ mode: "optional" }) });
  const plain = new SocketStream(connect({ path: served.path, allowHalfOpen: true }));
  const probe = await Probe.greet(plain);
  expect(await probe.option(optionTypes.extendedHeaders)).toBe("ACK");
  expect(await probe.option(optionTypes.startTls)).toBe("ACK");
  const { ca } = await loadX509Directory(directory, "client");
  const secure = connectTls({ socket: plain.release(), servername: "localhost", ca });
  const inside = new Probe(new SocketStream(secure));
  expect(await inside.option(optionTypes.structuredReply)).toBe("ACK");
  expect(await inside.option(optionTypes.startTls)).toBe("ERR_INVALID");
  secure.destroy();
});

test("credentials that can't be are refused when they are loaded", async () => {
  expect(() => serverTls({ kind: "x509" })).toThrow(RangeError);
  expect(() => serverTls({ kind: "x509", cert: "", key: "" }, { verifyPeer: true })).toThrow(RangeError);
  expect(() => serverTls({ kind: "psk", keys: new Map() }, { verifyPeer: true })).toThrow(RangeError);
  await expect(loadPskFile(at("missing"))).rejects.toMatchObject({ code: "ENOENT" });
  writeFileSync(at("bad.psk"), "alice:01\nbob\n");
  await expect(loadPskFile(at("bad.psk"))).rejects.toThrow(/line 2/);
  await expect(loadX509Directory(tmpdir(), "server")).rejects.toMatchObject({ code: "ENOENT" });
});
