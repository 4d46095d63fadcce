import type { Codecs } from "./codec.ts";
import { PortableZlibCodec } from "./zlib-portable.ts";
import { ZstdWasmCodec } from "./zstd-wasm-codec.ts";

/** The codecs that work everywhere. */
export const codecs: Codecs = { zlib: new PortableZlibCodec(), zstd: new ZstdWasmCodec() };
