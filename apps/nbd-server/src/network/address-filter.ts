import { BlockList, isIP } from "node:net";
import { CommandError } from "@img/cli";

/** Whether a client may come in, by where it comes from. */
export class AddressFilter {
  readonly #allowed: BlockList | undefined;
  readonly #denied: BlockList;

  /**
   * @param allow - addresses and networks (`192.0.2.0/24`, `2001:db8::1`); empty: all
   * @param deny - those that may not, though they are among the others
   * @throws CommandError for what is neither
   */
  constructor(allow: readonly string[], deny: readonly string[]) {
    this.#allowed = allow.length === 0 ? undefined : listOf(allow);
    this.#denied = listOf(deny);
  }

  /** @param address - `undefined`: a Unix socket, which its permissions protect */
  admits(address: string | undefined): boolean {
    if (address === undefined) {
      return true;
    }
    // an IPv4 client of a socket for both is shown as a mapped one; what follows % is an interface
    const plain = address.replace(/^::ffff:(?=\d+\.)/i, "").replace(/%.*$/, "");
    const family = isIP(plain) === 6 ? "ipv6" : "ipv4";
    return !this.#denied.check(plain, family) && (this.#allowed?.check(plain, family) ?? true);
  }
}

function listOf(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [, address = "", prefix] = /^([^/]+)(?:\/(\d+))?$/.exec(network) ?? [];
    const version = isIP(address);
    const bits = version === 6 ? 128 : 32;
    if (version === 0 || Number(prefix ?? bits) > bits) {
      throw new CommandError(
        `'${network}' is no address or network: expected 192.0.2.0/24, 2001:db8::/32 or an address`,
      );
    }
    list.addSubnet(address, Number(prefix ?? bits), version === 6 ? "ipv6" : "ipv4");
  }
  return list;
}
