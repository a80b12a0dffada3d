// Frames of the link between agent and kernel, byte for byte as in cellblock_cell/link.py.
// What is used of the language is kept from the start: the user's code, which shares the main thread, may replace it.

const { JSON, Reflect, String, Uint8Array } = globalThis;
const { parse } = JSON;
const { apply } = Reflect;
const { fromCharCode } = String;
const { set } = Object.getPrototypeOf(Uint8Array.prototype);
const { decode } = TextDecoder.prototype;
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
const VERSION = 1;
const HEADER_BYTES = 16; // version, kind, reserved (2), call (4), length of meta (4), length of body (4)

export const Kind = { HELLO: 1, CALL: 2, RESULT: 5, CANCEL: 6 };

/** A frame as text of one byte a character; its meta is JSON of such text. */
export function encode(kind, call, meta) {
  return fromCharCode(VERSION, kind, 0, 0) + number(call) + number(meta.length) + number(0) + meta;
}

function number(value) {
  return fromCharCode((value >>> 24) & 255, (value >>> 16) & 255, (value >>> 8) & 255, value & 255);
}

export class Decoder {
  #bytes = new Uint8Array(0);

  /** Call `take` with each frame that these first bytes of the data complete. The agent is trusted: nothing is checked. */
  feed(data, length, take) {
    let bytes = new Uint8Array(this.#bytes.length + length);
    apply(set, bytes, [this.#bytes]);
    apply(set, bytes, [new Uint8Array(data.buffer, data.byteOffset, length), this.#bytes.length]);
    let start = 0;
    for (;;) {
      const middle = start + HEADER_BYTES;
      if (bytes.length < middle) break;
      const end = middle + numberAt(bytes, start + 8) + numberAt(bytes, start + 12);
      if (bytes.length < end) break;
      const text = apply(decode, utf8, [new Uint8Array(bytes.buffer, middle, numberAt(bytes, start + 8))]);
      const frame = { __proto__: null, kind: bytes[start + 1], call: numberAt(bytes, start + 4), meta: text ? parse(text) : {} };
      start = end;
      take(frame);
    }
    this.#bytes = new Uint8Array(bytes.buffer, start);
  }
}

function numberAt(bytes, offset) {
  return ((bytes[offset] << 24) | (bytes[offset + 1] << 16) | (bytes[offset + 2] << 8) | bytes[offset + 3]) >>> 0;
}
