/**
 * Imports a module that isn't part of the program. In a file of its own: what is loaded with code that was compiled before can't import anything.
 *
 * @param url - of the module
 */
export async function importModule(url: string): Promise<Readonly<Record<string, unknown>>> {
  return (await import(url)) as Readonly<Record<string, unknown>>;
}
