import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

/** A small workspace like ours in a directory of its own, with a history if it is asked for. */
export class FixtureRepository implements Disposable {
  /** Absolute. */
  readonly root: string = mkdtempSync(join(tmpdir(), "img-fixture-"));

  constructor() {
    // Reading Node's own types takes seconds.
    this.write("node_modules/@types/node/index.d.ts", "export {};\n");
    this.write(".gitignore", "node_modules/\ndist/\n");
  }

  write(path: string, text: string): void {
    const file = join(this.root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }

  read(path: string): string {
    return readFileSync(join(this.root, path), "utf8");
  }

  remove(path: string): void {
    rmSync(join(this.root, path), { recursive: true });
  }

  /** Writes a package with these declarations, by the name of their file: `index` for the package itself. */
  package(name: string, declarations: Readonly<Record<string, string>>): void {
    const ways = Object.keys(declarations).map((entry): [string, object] => [
      entry === "index" ? "." : `./${entry}`,
      { types: `./dist/${entry}.d.ts`, default: `./dist/${entry}.js` },
    ]);
    const manifest = { name: `@img/${name}`, version: "1.0.0", type: "module", exports: Object.fromEntries(ways) };
    this.write(`packages/${name}/package.json`, JSON.stringify(manifest));
    for (const [entry, text] of Object.entries(declarations)) this.write(`packages/${name}/dist/${entry}.d.ts`, text);
  }

  changeset(file: string, name: string, text: string, bump = "minor"): void {
    this.write(`.changeset/${file}.md`, `---\n"@img/${name}": ${bump}\n---\n\n${text}\n`);
  }

  git(...args: string[]): string {
    const settings = ["user.name=test", "user.email=test@localhost", "commit.gpgsign=false", "init.defaultBranch=main"];
    const options = settings.flatMap((setting) => ["-c", setting]);
    return execFileSync("git", [...options, ...args], { cwd: this.root, encoding: "utf8", stdio: "pipe" }).trim();
  }

  commit(subject: string): void {
    this.git("init", "--quiet");
    this.git("add", "--all");
    this.git("commit", "--quiet", "--allow-empty", "--message", subject);
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}
