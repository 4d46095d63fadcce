import fc from "fast-check";
import { expect, test } from "vitest";
import { formatNbdUri } from "../../src/uri/format-nbd-uri.ts";
import type { NbdUri } from "../../src/uri/nbd-uri.ts";
import { parseNbdUri } from "../../src/uri/parse-nbd-uri.ts";

const tcp = (host: string, port = 10809): NbdUri["transport"] => ({ kind: "tcp", host, port });
const unix = (path: string): NbdUri["transport"] => ({ kind: "unix", path });

const understood: [text: string, uri: NbdUri, canonical?: string][] = [
  ["nbd://example.com", { transport: tcp("example.com"), exportName: "" }, "nbd://example.com/"],
  ["nbd://example.com/", { transport: tcp("example.com"), exportName: "" }],
  [
    "NBD://example.com:10810/disk",
    { transport: tcp("example.com", 10810), exportName: "disk" },
    "nbd://example.com:10810/disk",
  ],
  ["nbd+tcp://example.com/disk", { transport: tcp("example.com"), exportName: "disk" }, "nbd://example.com/disk"],
  ["nbd:///disk", { transport: tcp("localhost"), exportName: "disk" }, "nbd://localhost/disk"],
  ["nbd://[::1]:1234/a%20b/c", { transport: tcp("::1", 1234), exportName: "a b/c" }],
  ["nbd://[fe80::1]//disk", { transport: tcp("fe80::1"), exportName: "/disk" }],
  ["nbd+unix:///disk?socket=/run/nbd.sock", { transport: unix("/run/nbd.sock"), exportName: "disk" }],
  ["nbd+unix:///?socket=nbd%3Fsock", { transport: unix("nbd?sock"), exportName: "" }],
  ["nbd+unix://?socket=%00name", { transport: unix("\0name"), exportName: "" }, "nbd+unix:///?socket=%00name"],
  ["nbds://example.com/disk", { transport: tcp("example.com"), exportName: "disk", tls: {} }],
  [
    "nbds://alice@example.com/disk?tls-psk-file=/etc/keys.psk",
    { transport: tcp("example.com"), exportName: "disk", tls: { username: "alice", pskFile: "/etc/keys.psk" } },
  ],
  [
    "nbds+unix://alice@server/x?socket=/s&tls-certificates=/pki&tls-verify-peer=0",
    {
      transport: unix("/s"),
      exportName: "x",
      tls: { username: "alice", hostname: "server", verifyPeer: false, certificates: "/pki" },
    },
    "nbds+unix://alice@/x?socket=/s&tls-hostname=server&tls-verify-peer=0&tls-certificates=/pki",
  ],
  [
    "nbds://h/?tls-type=x509;tls-hostname=other",
    { transport: tcp("h"), exportName: "", tls: { type: "x509", hostname: "other" } },
    "nbds://h/?tls-type=x509&tls-hostname=other",
  ],
  ["nbd:localhost:10809", { transport: tcp("localhost"), exportName: "" }, "nbd://localhost/"],
  ["nbd:[::1]:99:exportname=a:b", { transport: tcp("::1", 99), exportName: "a:b" }, "nbd://[::1]:99/a%3Ab"],
  ["nbd:unix:/run/a.sock", { transport: unix("/run/a.sock"), exportName: "" }, "nbd+unix:///?socket=/run/a.sock"],
  [
    "nbd:unix:/run/a:b.sock:exportname=/disk",
    { transport: unix("/run/a:b.sock"), exportName: "/disk" },
    "nbd+unix:////disk?socket=/run/a%3Ab.sock",
  ],
];

test("what is understood has one spelling", () => {
  for (const [text, uri, canonical = text] of understood) {
    expect(parseNbdUri(text), text).toEqual(uri);
    expect(formatNbdUri(uri), text).toBe(canonical);
    expect(parseNbdUri(canonical), text).toEqual(uri);
  }
});

const refused: readonly (readonly [text: string, code: string])[] = [
  ["nbd+vsock://2:10809/disk", "ERR_IMG_UNSUPPORTED"],
  ["nbds+vsock:///", "ERR_IMG_UNSUPPORTED"],
  ["nbd+ssh://host/disk", "ERR_IMG_UNSUPPORTED"],
  ["nbd://host/?socket=/s", "ERR_IMG_UNSUPPORTED"],
  ["nbd://host/?colour=red", "ERR_IMG_UNSUPPORTED"],
  // asks for TLS, and isn't a URI for it
  ["nbd://host/?tls-certificates=/pki", "ERR_IMG_UNSUPPORTED"],
  ["nbds://host/?tls-type=anon", "ERR_IMG_UNSUPPORTED"],
  ["nbds://host/?tls-verify-peer=maybe", "EINVAL"],
  ["nbd+unix:///disk", "EINVAL"],
  ["nbd+unix:///disk?socket=", "EINVAL"],
  ["nbd+unix:///disk?socket=a&socket=b", "EINVAL"],
  ["http://host/disk", "EINVAL"],
  ["nbd+udp://host/disk", "EINVAL"],
  ["nbd://host/disk#part", "EINVAL"],
  ["nbd://host:0/disk", "EINVAL"],
  ["nbd://host:65536/disk", "EINVAL"],
  ["nbd://host:80x/disk", "EINVAL"],
  ["nbd://a:b:c/disk", "EINVAL"],
  ["nbd://[]/disk", "EINVAL"],
  ["nbd://host/%", "EINVAL"],
  ["nbd://host/%ff", "EINVAL"],
  ["nbd://host/%00", "EINVAL"],
  [`nbd://host/${"x".repeat(4097)}`, "EINVAL"],
  ["nbd:", "EINVAL"],
  ["nbd:host", "EINVAL"],
  ["nbd:host:port", "EINVAL"],
  ["nbd:unix:", "EINVAL"],
  ["nbd:host:99999", "EINVAL"],
  ["disk.qcow2", "EINVAL"],
];

test.each(refused)("%s is refused with %s", (text, code) => {
  expect(() => parseNbdUri(text)).toThrow(expect.objectContaining({ code }));
});

test("every export that can be named comes out of its URI as it went in", () => {
  const name = fc.string({ unit: "grapheme", maxLength: 40 }).filter((text) => !text.includes("\0"));
  const path = fc.string({ unit: "grapheme", minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(name, path, fc.boolean(), (exportName, socket, isTls) => {
      const uri: NbdUri = { transport: unix(socket), exportName, ...(isTls ? { tls: { username: socket } } : {}) };
      expect(parseNbdUri(formatNbdUri(uri))).toEqual(uri);
    }),
  );
});
