import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";

/**
 * A real nginx with a directory of its own, on a free port of this machine, with the rights of whoever runs the tests.
 *
 * @param {string} [extra] more directives for the server
 */
export async function startNginx(extra = "") {
  const directory = mkdtempSync(join(tmpdir(), "img-nginx-"));
  const root = join(directory, "files");
  mkdirSync(root);
  const port = await freePort();
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  writeFileSync(
    join(directory, "nginx.conf"),
    // an administrator's nginx would go on as somebody who can't see the directory
    `${process.getuid?.() === 0 ? "user root;" : ""}
daemon off;
worker_processes 1;
pid ${directory}/nginx.pid;
error_log ${directory}/error.log;
events { worker_connections 64; }
http {
  access_log ${directory}/access.log;
  ${temporary.map((name) => `${name}_temp_path ${directory}/${name};`).join("\n  ")}
  server {
    listen 127.0.0.1:${port};
    root ${root};
    ${extra}
  }
}
`,
  );
  // Debian keeps it where only administrators look
  const env = { ...process.env, PATH: [process.env.PATH, "/usr/sbin", "/sbin"].join(delimiter) };
  const args = ["-p", directory, "-c", join(directory, "nginx.conf")];
  const check = spawnSync("nginx", [...args, "-t"], { env, encoding: "utf8" });
  if (check.status !== 0) {
    rmSync(directory, { recursive: true, force: true });
    throw check.error ?? new Error(check.stderr);
  }
  const child = spawn("nginx", args, { env, stdio: "ignore" });
  const exited = new Promise((resolve) => child.once("exit", resolve));
  const url = `http://127.0.0.1:${port}/`;
  await answered(url);
  return {
    url,
    root,
    accessLog: join(directory, "access.log"),
    async stop() {
      child.kill("SIGQUIT");
      await exited;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** @returns {Promise<number>} */
function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

/** @param {string} url */
async function answered(url) {
  for (let attempt = 0; ; attempt++) {
    try {
      await fetch(url);
      return;
    } catch (error) {
      if (attempt === 200) {
        throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }
}
