// The main thread's connection to the agent: it takes calls and sends results without help of a stream, which the user's code could change.

import net from "node:net";

import { Decoder, encode, Kind } from "./frames.mjs";

const { Uint8Array } = globalThis; // the user's code may give this name another meaning
const CONNECTION = 3;
const READ_BYTES = 64 * 1024;

/** Calls `onCall` for each call; keeps the process alive until `unref`. */
export class Connection {
  #write;
  ref;
  unref;

  constructor(onCall) {
    const decoder = new Decoder();
    const take = (frame) => frame.kind === Kind.CALL && onCall(frame);
    const callback = (length, data) => {
      decoder.feed(data, length, take);
      return true;
    };
    this.socket = new net.Socket({ fd: CONNECTION, onread: { buffer: new Uint8Array(READ_BYTES), callback } });
    const handle = this.socket._handle;
    this.#write = handle.writeLatin1String.bind(handle);
    this.ref = handle.ref.bind(handle);
    this.unref = handle.unref.bind(handle);
    this.socket.on("error", () => {}); // the agent sees a connection that breaks, and kills the kernel
  }

  hello() {
    this.#write({}, encode(Kind.HELLO, 0, "{}"));
  }

  answer(call, exitCode) {
    this.#write({}, encode(Kind.RESULT, call, `{"exit_code":${exitCode}}`));
  }
}
