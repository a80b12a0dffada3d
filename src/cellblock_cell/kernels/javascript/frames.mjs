// Frames of the link between agent and kernel, byte for byte as in cellblock_cell/link.py.

const VERSION = 1;
const HEADER_BYTES = 16; // version, kind, reserved (2), call (4), length of meta (4), length of body (4)

export const Kind = { HELLO: 1, CALL: 2, RESULT: 5, CANCEL: 6 };

export function encode(kind, call = 0, meta = {}) {
  const text = Buffer.from(JSON.stringify(meta));
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt8(VERSION, 0);
  header.writeUInt8(kind, 1);
  header.writeUInt32BE(call, 4);
  header.writeUInt32BE(text.length, 8);
  return Buffer.concat([header, text]);
}

export class Decoder {
  #buffer = Buffer.alloc(0);

  /** The frames that these bytes complete. The agent is trusted: nothing is checked. */
  *feed(data) {
    this.#buffer = Buffer.concat([this.#buffer, data]);
    for (;;) {
      if (this.#buffer.length < HEADER_BYTES) return;
      const middle = HEADER_BYTES + this.#buffer.readUInt32BE(8);
      const end = middle + this.#buffer.readUInt32BE(12);
      if (this.#buffer.length < end) return;
      const meta = middle > HEADER_BYTES ? JSON.parse(this.#buffer.toString("utf8", HEADER_BYTES, middle)) : {};
      const frame = { kind: this.#buffer.readUInt8(1), call: this.#buffer.readUInt32BE(4), meta };
      this.#buffer = this.#buffer.subarray(end);
      yield frame;
    }
  }
}
