/**
 * Has Node keep compiled code between runs, from Node 22.1 on; to be asked before a verb is loaded, and by each thread for itself. An older one isn't
 * asked, because loading the module takes time: there, `loadCompiled` does it.
 */
export function keepCompiled(): void {
  if (Number.parseInt(process.versions.node, 10) >= 22) {
    const module = process.getBuiltinModule("node:module") as { enableCompileCache?: () => unknown };
    module.enableCompileCache?.();
  }
}
