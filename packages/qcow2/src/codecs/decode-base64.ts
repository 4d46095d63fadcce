const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/**
 * The bytes that `text` encodes in base64 (RFC 4648 §4) without line breaks. For our own constants: what isn't base64 isn't noticed.
 */
export function decodeBase64(text: string): Uint8Array {
  const values = new Uint8Array(128);
  for (let value = 0; value < alphabet.length; value++) {
    values[alphabet.charCodeAt(value)] = value;
  }
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  const bytes = new Uint8Array((text.length / 4) * 3 - padding);
  const at = (index: number): number => values[text.charCodeAt(index)] ?? 0;
  for (let index = 0, out = 0; index < text.length; index += 4, out += 3) {
    const word = (at(index) << 18) | (at(index + 1) << 12) | (at(index + 2) << 6) | at(index + 3);
    bytes[out] = word >> 16;
    bytes[out + 1] = word >> 8;
    bytes[out + 2] = word;
  }
  return bytes;
}
