/** WebAssembly as far as our packages use it: every engine has it, Node's own declarations do not. */
declare namespace WebAssembly {
  type ImportValue = Function | Memory | number;

  interface Memory {
    readonly buffer: ArrayBuffer;
    grow(pages: number): number;
  }
  interface Module {
    readonly __brand?: "module";
  }
  interface Instance {
    readonly exports: Readonly<Record<string, unknown>>;
  }

  var Memory: { new (descriptor: { readonly initial: number; readonly maximum?: number }): Memory };
  var Module: { new (bytes: ArrayBuffer | ArrayBufferView): Module };
  var Instance: {
    new (module: Module, imports?: Readonly<Record<string, Readonly<Record<string, ImportValue>>>>): Instance;
  };
  function compile(bytes: ArrayBuffer | ArrayBufferView): Promise<Module>;
  function instantiate(
    module: Module,
    imports?: Readonly<Record<string, Readonly<Record<string, ImportValue>>>>,
  ): Promise<Instance>;
}
