import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Makes authorities and certificates in `directory`, with the names that QEMU, libnbd and nbdkit use: `ca-cert.pem`, `server-…` for `localhost` and
 * 127.0.0.1, `client-…`; `foreign/ca-cert.pem` has signed none of them. And `keys.psk`, with keys of alice and bob.
 */
export function makeCredentials(directory: string): void {
  const run = (...args: string[]): void => {
    execFileSync("openssl", args, { cwd: directory, stdio: "ignore" });
  };
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const authority = (place: string): void => {
    const files = ["-keyout", join(place, "ca-key.pem"), "-out", join(place, "ca-cert.pem")];
    run("req", "-x509", ...key, ...files, "-subj", `/CN=${place}`);
  };
  execFileSync("mkdir", ["-p", join(directory, "foreign")]);
  authority(".");
  authority("foreign");
  for (const [name, subject] of [
    ["server", "localhost"],
    ["client", "alice"],
  ] as const) {
    run("req", ...key, "-keyout", `${name}-key.pem`, "-out", `${name}.csr`, "-subj", `/CN=${subject}`);
    writeFileSync(join(directory, "ext"), `subjectAltName=DNS:${subject},IP:127.0.0.1\nbasicConstraints=CA:FALSE\n`);
    const signer = ["-CA", "ca-cert.pem", "-CAkey", "ca-key.pem", "-CAcreateserial", "-extfile", "ext"];
    run("x509", "-req", "-in", `${name}.csr`, ...signer, "-out", `${name}-cert.pem`);
  }
  const keys = "alice:0123456789abcdef0123456789abcdef\nbob:00ff00ff00ff00ff00ff00ff00ff00ff\n";
  writeFileSync(join(directory, "keys.psk"), keys);
}
