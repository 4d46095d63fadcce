/** Stands in for Node's global, as far as the suites use it. */
class BufferStandIn extends Uint8Array {
  static compare(a: Uint8Array, b: Uint8Array): number {
    const length = Math.min(a.length, b.length);
    for (let at = 0; at < length; at++) {
      const difference = (a[at] ?? 0) - (b[at] ?? 0);
      if (difference !== 0) return difference;
    }
    return a.length - b.length;
  }

  override toString(): string {
    return [...this].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }
}

export { BufferStandIn as Buffer };
