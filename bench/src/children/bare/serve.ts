import { fstatSync, openSync, readFileSync, readSync, writeSync } from "node:fs";
import { createServer, type Socket } from "node:net";

/**
 * The least that a server of the network block device protocol has to do: `serve SOCKET PATH ro|rw file|memory`. One export, simple replies, what `nbdcopy`
 * and fio ask for, nothing checked. Serves until it is killed. Numbers are of the protocol's specification.
 */
const [path = "", disk = "", mode = "", where = ""] = process.argv.slice(2);

const fd = openSync(disk, mode === "rw" ? "r+" : "r");
const { size } = fstatSync(fd);
const memory = where === "memory" ? readFileSync(disk) : undefined;

const headLength = 16;
const requestLength = 28;
const optionLength = 16;
/** `NBD_FLAG_HAS_FLAGS`, `_SEND_FLUSH`, `_CAN_MULTI_CONN`; `_READ_ONLY`. */
const exportFlags = 0x105 | (mode === "rw" ? 0 : 2);

/** Buffers of replies, with room for their heads, that nobody uses. */
const free: Buffer[] = [];

class Connection {
  readonly #socket: Socket;
  /** Takes what it can from the beginning of these bytes. @returns how many; 0: more have to come */
  #step: (bytes: Buffer) => number = (bytes) => this.#clientFlags(bytes);
  #rest: Buffer = Buffer.alloc(0);
  /** What comes of a write's payload next, and the request that it belongs to. */
  #payload = { offset: 0, left: 0, cookie: Buffer.alloc(8) };

  constructor(socket: Socket) {
    this.#socket = socket;
    const greeting = Buffer.from("NBDMAGICIHAVEOPT\0\x03");
    socket.on("data", (chunk) => this.#receive(chunk)).on("error", () => socket.destroy());
    socket.write(greeting);
  }

  #receive(chunk: Buffer): void {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#socket.cork();
    for (let taken = -1; taken !== 0 && bytes.length > 0; bytes = bytes.subarray(taken)) {
      taken = this.#step(bytes);
    }
    this.#socket.uncork();
    this.#rest = bytes;
  }

  #clientFlags(bytes: Buffer): number {
    if (bytes.length < 4) {
      return 0;
    }
    this.#step = (more) => this.#option(more);
    return 4;
  }

  #option(bytes: Buffer): number {
    const length = bytes.length < optionLength ? Infinity : optionLength + bytes.readUInt32BE(12);
    if (bytes.length < length) {
      return 0;
    }
    const option = bytes.readUInt32BE(8);
    switch (option) {
      case 6: // NBD_OPT_INFO
      case 7: {
        // NBD_OPT_GO
        const info = Buffer.alloc(12);
        info.writeBigUInt64BE(BigInt(size), 2);
        info.writeUInt16BE(exportFlags, 10);
        this.#answer(option, 3, info);
        this.#answer(option, 1);
        if (option === 7) {
          this.#step = (more) => this.#request(more);
        }
        break;
      }
      case 2: // NBD_OPT_ABORT
        this.#answer(option, 1);
        this.#socket.end();
        break;
      default:
        this.#answer(option, 0x8000_0001);
    }
    return length;
  }

  #answer(option: number, type: number, data: Buffer = Buffer.alloc(0)): void {
    const head = Buffer.alloc(20);
    head.writeBigUInt64BE(0x3e889045565a9n, 0);
    head.writeUInt32BE(option, 8);
    head.writeUInt32BE(type, 12);
    head.writeUInt32BE(data.length, 16);
    this.#socket.write(Buffer.concat([head, data]));
  }

  #request(bytes: Buffer): number {
    if (bytes.length < requestLength) {
      return 0;
    }
    const cookie = bytes.subarray(8, 16);
    const offset = bytes.readUInt32BE(16) * 2 ** 32 + bytes.readUInt32BE(20);
    const length = bytes.readUInt32BE(24);
    switch (bytes.readUInt16BE(6)) {
      case 0:
        this.#read(cookie, offset, length);
        break;
      case 1:
        this.#payload = { offset, left: length, cookie: Buffer.from(cookie) };
        this.#step = (more) => this.#write(more);
        break;
      case 2:
        this.#socket.end();
        break;
      default:
        this.#socket.write(headOf(cookie));
    }
    return requestLength;
  }

  #read(cookie: Buffer, offset: number, length: number): void {
    if (memory !== undefined) {
      this.#socket.write(headOf(cookie));
      this.#socket.write(memory.subarray(offset, offset + length));
      return;
    }
    const last = free.pop();
    const buffer = last?.length === headLength + length ? last : Buffer.allocUnsafeSlow(headLength + length);
    headOf(cookie, buffer);
    readSync(fd, buffer, headLength, length, offset);
    this.#socket.write(buffer, () => free.push(buffer));
  }

  #write(bytes: Buffer): number {
    const part = this.#payload;
    const length = Math.min(part.left, bytes.length);
    if (memory === undefined) {
      writeSync(fd, bytes, 0, length, part.offset);
    } else {
      memory.set(bytes.subarray(0, length), part.offset);
    }
    part.offset += length;
    part.left -= length;
    if (part.left === 0) {
      this.#socket.write(headOf(part.cookie));
      this.#step = (more) => this.#request(more);
    }
    return length;
  }
}

/** The head of a simple reply that tells of no error, at the beginning of a buffer. */
function headOf(cookie: Uint8Array, head: Buffer = Buffer.allocUnsafe(headLength)): Buffer {
  head.writeUInt32BE(0x67446698, 0);
  head.writeUInt32BE(0, 4);
  head.set(cookie, 8);
  return head;
}

createServer((socket) => new Connection(socket)).listen(path);
