// Makes src/codecs/zstd-wasm-binary.ts from the WebAssembly file of @bokuweb/zstd-wasm:
//
//   npm pack @bokuweb/zstd-wasm@0.0.27 && tar xf bokuweb-zstd-wasm-0.0.27.tgz
//   node scripts/embed-zstd.mjs package/dist/common/zstd.wasm
//
// It is embedded because a file beside the code would be lost in bundles, and because a constant can be compiled without waiting.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { deflateRawSync } from "node:zlib";

const [file] = process.argv.slice(2);
if (file === undefined) {
  throw new Error("usage: embed-zstd.mjs FILE.wasm");
}
const bytes = readFileSync(file);
const deflated = deflateRawSync(bytes, { level: 9, memLevel: 9 }).toString("base64");
const digest = createHash("sha256").update(bytes).digest("hex");
const licence = `Zstandard, Copyright (c) Meta Platforms, Inc. and affiliates. All rights reserved. BSD-3-Clause:

Redistribution and use in source and binary forms, with or without modification, are permitted provided that the
following conditions are met: * Redistributions of source code must retain the above copyright notice, this list of
conditions and the following disclaimer. * Redistributions in binary form must reproduce the above copyright notice, this
list of conditions and the following disclaimer in the documentation and/or other materials provided with the
distribution. * Neither the name Facebook, nor Meta, nor the names of its contributors may be used to endorse or promote
products derived from this software without specific prior written permission. THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT
HOLDERS AND CONTRIBUTORS "AS IS" AND ANY EXPRESS OR IMPLIED WARRANTIES, INCLUDING, BUT NOT LIMITED TO, THE IMPLIED
WARRANTIES OF MERCHANTABILITY AND FITNESS FOR A PARTICULAR PURPOSE ARE DISCLAIMED. IN NO EVENT SHALL THE COPYRIGHT HOLDER
OR CONTRIBUTORS BE LIABLE FOR ANY DIRECT, INDIRECT, INCIDENTAL, SPECIAL, EXEMPLARY, OR CONSEQUENTIAL DAMAGES (INCLUDING,
BUT NOT LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS OR SERVICES; LOSS OF USE, DATA, OR PROFITS; OR BUSINESS INTERRUPTION)
HOWEVER CAUSED AND ON ANY THEORY OF LIABILITY, WHETHER IN CONTRACT, STRICT LIABILITY, OR TORT (INCLUDING NEGLIGENCE OR
OTHERWISE) ARISING IN ANY WAY OUT OF THE USE OF THIS SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.

Compiled to WebAssembly by @bokuweb/zstd-wasm 0.0.27, MIT, Copyright (c) bokuweb.`;

writeFileSync(
  new URL("../packages/qcow2/src/codecs/zstd-wasm-binary.ts", import.meta.url),
  `/*! @license
${licence.replaceAll(/^/gm, " * ").replaceAll(/ +$/gm, "")}
 */

// Made by scripts/embed-zstd.mjs.

/** Length of the module in bytes. */
export const zstdWasmLength: number = ${bytes.length};

/** SHA-256 of the module. */
export const zstdWasmDigest: string = "${digest}";

/** The module, as raw deflate in base64. */
export const zstdWasmDeflated: string =
  "${deflated}";
`,
);
