import { qcow2 } from "@img/qcow2";
import { raw } from "@img/raw";
import { allowAll, FormatRegistry } from "@img/format-core";
import { FileStorage, fileOpener } from "@img/storage-fs";
import { execFileSync } from "node:child_process";
import { writeFileSync, readFileSync, rmSync } from "node:fs";
const formats = new FormatRegistry([qcow2, raw]);
let seed = Number(process.argv[2] ?? 1);
const rnd = (n: number) => { seed = (seed * 1103515245 + 12345) % 2147483648; return Math.floor((seed / 2147483648) * n); };
const sh = (c: string) => { try { return execFileSync("bash", ["-c", c], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }); } catch (e: any) { throw new Error(`${c}: ${e.status} ${e.stdout} ${e.stderr}`); } };
async function program(i: number) {
  const cs = 2 ** (9 + rnd(10));
  const v2 = rnd(5) === 0;
  const ext = !v2 && cs >= 16384 && rnd(3) === 0;
  const rb = v2 ? 16 : 2 ** rnd(7);
  const back = rnd(3); const df = !v2 && back === 0 && rnd(5) === 0;
  const lazy = !v2 && rnd(4)===0;
  let size = (1 + rnd(64)) * 512 * (1 + rnd(64)) + cs * rnd(40);
  size -= size % 512; if (size === 0) size = 512;
  const dir = "/dev/shm/w1"; rmSync(dir, { recursive: true, force: true }); sh(`mkdir -p ${dir}`);
  const f = `${dir}/a.qcow2`;
  let base = Buffer.alloc(0);
  if (back) { const bs = 512 * (1 + rnd(Math.max(1, size / 256))); base = Buffer.alloc(bs); for (let k = 0; k < bs; k += 512) base.fill(rnd(3) ? 1 + rnd(255) : 0, k, k + 512); writeFileSync(`${dir}/b.raw`, base); if (back === 2) sh(`qemu-img convert -f raw -O qcow2 -c ${dir}/b.raw ${dir}/b.qcow2`); }
  const opts = [`cluster_size=${cs}`, v2 ? "compat=0.10" : "compat=1.1", ...(v2 ? [] : [`refcount_bits=${rb}`]), ...(ext ? ["extended_l2=on"] : []), ...(lazy ? ["lazy_refcounts=on"]:[]), ...(df ? [`data_file=${dir}/d.raw${rnd(2) ? ",data_file_raw=on" : ""}`] : [])];
  const desc = `#${i} size=${size} ${opts.join(",")} back=${back}`;
  sh(`cd ${dir} && qemu-img create -q -f qcow2 -o ${opts.join(",")} ${back ? `-b b.${back === 1 ? "raw" : "qcow2"} -F ${back === 1 ? "raw" : "qcow2"}` : ""} a.qcow2 ${size}`);
  const model = Buffer.alloc(size); base.copy(model, 0, 0, Math.min(size, base.length));
  let m = model;
  const open = async () => qcow2.open(await FileStorage.open(f, { writable: true, lock: "off", blocking: rnd(2) ? "always" : "never" } as any), { writable: true, gate: allowAll({ opener: fileOpener(), formats }), l2CacheSize: 1, refcountCacheSize: 1 });
  let img = await open(); if (process.env.V) console.log("opened");
  const log: string[] = []; (globalThis as any).log = log; (globalThis as any).desc = desc; if (process.env.V) console.log(desc);
  try {
    for (let k = 0; k < 40; k++) {
      if (process.env.PARANOID) { const g = Buffer.alloc(m.length); await img.read(g, 0); const at = g.findIndex((x, q) => x !== m[q]); if (at >= 0) throw new Error(`PARANOID differs at ${at} got ${g[at]} want ${m[at]} size ${m.length}: ${JSON.stringify(await img.getMapping(at, 1), (k, v) => (k === 'storage' || k === 'layer' ? String(v.label ?? v) : v))}`); }
      const op = rnd(12);
      let off = rnd(m.length), len = 1 + rnd(Math.min(m.length - off, rnd(2) ? cs * 4 : 5000));
      if (op < 5) { const b = Buffer.alloc(len, 1 + rnd(255)); log.push(`write ${off} ${len}`); await img.write(b, off); b.copy(m, off); }
      else if (op === 5) { log.push(`zero ${off} ${len}`); await img.writeZeroes(off, len); m.fill(0, off, off + len); }
      else if (op === 6) { log.push(`discardToZero ${off} ${len}`); await img.discardToZero(off, len); m.fill(0, off, off + len); }
      else if (op === 7) { log.push("flush");  await img.flush(); }
      else if (op === 8) { log.push("reopen"); await img.close(); sh(`qemu-img check -q ${f}`); img = await open(); }
      else if (op === 9 && !df && !(rb === 1)) { const c = Math.floor(off / cs) * cs; const l = Math.min(cs, m.length - c); const b = Buffer.alloc(l, 1 + rnd(255)); log.push(`compress ${c} ${l}`); await img.writeCompressed(b, c); b.copy(m, c); }
      else if (op === 10) { const ns = Math.max(512, Math.floor((m.length + (rnd(2) ? 1 : -1) * rnd(cs * 6)) / 512) * 512); log.push(`resize ${m.length} ${ns}`); const pre = ns > m.length && !back ? (["none", "metadata", "falloc", "full"] as const)[rnd(4)]! : "none"; await img.resize(ns, pre); const n = Buffer.alloc(ns); m.copy(n, 0, 0, Math.min(ns, m.length)); m = n; }
      else if (op === 11) { const got = Buffer.alloc(len); await img.read(got, off); if (!got.equals(m.subarray(off, off + len))) throw new Error(`read differs at ${off} ${len}`); }
    }
    await img.close();
    sh(`qemu-img check ${f}`);
    writeFileSync(`${dir}/m.raw`, m);
    sh(`cd ${dir} && qemu-img compare -f qcow2 -F raw a.qcow2 m.raw`);
  } catch (e: any) { console.log("FAIL", desc, "\n", log.join("; "), "\n", e.stack ?? e); process.exitCode = 1; return false; }
  return true;
}
process.on('exit', () => { if (!(globalThis as any).fin) console.log('HANG', (globalThis as any).desc, (globalThis as any).log.join('; ')); });
async function main() { const n = Number(process.argv[3] ?? 20); for (let i = 0; i < n; i++) if (!(await program(i))) break; console.log("done"); (globalThis as any).fin = true; }
main();
