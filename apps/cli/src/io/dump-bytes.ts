/** Bytes in lines of sixteen: offset, hexadecimal, letters and digits. */
export function dumpBytes(bytes: Uint8Array, offset: number): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 16) {
    const line = bytes.subarray(at, at + 16);
    const hexadecimal = Array.from(line, (byte) => `${byte.toString(16).padStart(2, "0")} `).join("");
    const letters = Array.from(line, (byte) => String.fromCharCode(byte).replace(/[^0-9A-Za-z]/, ".")).join("");
    text += `${(offset + at).toString(16).padStart(8, "0")}:  ${hexadecimal} ${letters}\n`;
  }
  return text;
}
