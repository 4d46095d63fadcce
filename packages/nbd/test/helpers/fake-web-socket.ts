import type { WebSocketLike } from "../../src/stream/web-socket-stream.ts";

type Listener = (event: { readonly data?: unknown }) => void;

/**
 * A `WebSocket` without a network: messages arrive in later turns, `bufferedAmount` counts what is under way, closing is a handshake that lets everything
 * arrive that was sent before.
 */
export class FakeWebSocket implements WebSocketLike {
  binaryType = "blob";
  bufferedAmount = 0;
  readyState = 0;
  pause?: () => void;
  resume?: () => void;
  readonly #listeners = new Map<string, Listener[]>();
  readonly #inbox: (() => void)[] = [];
  #peer: FakeWebSocket | undefined;
  #paused = false;

  static pair(options: { readonly canPause: boolean }): [FakeWebSocket, FakeWebSocket] {
    const [left, right] = [new FakeWebSocket(), new FakeWebSocket()];
    left.#peer = right;
    right.#peer = left;
    for (const one of [left, right]) {
      if (options.canPause) {
        one.pause = () => {
          one.#paused = true;
        };
        one.resume = () => {
          one.#paused = false;
          one.#deliver();
        };
      }
      setImmediate(() => {
        one.readyState = 1;
        one.#emit("open", {});
      });
    }
    return [left, right];
  }

  addEventListener(type: string, listener: Listener): void {
    this.#listeners.set(type, [...(this.#listeners.get(type) ?? []), listener]);
  }

  send(data: Uint8Array): void {
    if (this.readyState !== 1) {
      throw new Error("not open");
    }
    const copy = data.slice().buffer;
    this.bufferedAmount += copy.byteLength;
    this.#post(() => {
      this.bufferedAmount -= copy.byteLength;
      this.#other().#emit("message", { data: copy });
    });
  }

  sendText(data: string): void {
    this.#post(() => {
      this.#other().#emit("message", { data });
    });
  }

  close(): void {
    if (this.readyState > 1) {
      return;
    }
    this.readyState = 2;
    this.#post(() => {
      for (const one of [this.#other(), this]) {
        if (one.readyState !== 3) {
          one.readyState = 3;
          one.#emit("close", {});
        }
      }
    });
  }

  #post(arrive: () => void): void {
    const peer = this.#other();
    peer.#inbox.push(arrive);
    setImmediate(() => {
      peer.#deliver();
    });
  }

  #other(): FakeWebSocket {
    if (this.#peer === undefined) {
      throw new Error("a socket without a peer");
    }
    return this.#peer;
  }

  #deliver(): void {
    while (!this.#paused) {
      const arrive = this.#inbox.shift();
      if (arrive === undefined) {
        return;
      }
      arrive();
    }
  }

  #emit(type: string, event: { readonly data?: unknown }): void {
    for (const listener of this.#listeners.get(type) ?? []) {
      listener(event);
    }
  }
}
