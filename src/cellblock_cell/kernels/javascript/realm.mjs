// Where the user's code is prepared: a realm of its own, whose objects and prototypes the code, which runs on the same thread, cannot reach.

import { readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import vm from "node:vm";

const { Buffer, Reflect } = globalThis; // the user's code may give these names another meaning
const { from } = Buffer;
const { utf8Slice } = Buffer.prototype;

/** The function `prepare` of source.js. */
export function preparer(parser) {
  const fromBase64 = (text) => Reflect.apply(utf8Slice, from(text, "base64"), []);
  const realm = vm.createContext({ __proto__: null, fromBase64, stripTypeScriptTypes });
  const run = (file) => new vm.Script(readFileSync(file, "utf8"), { filename: String(file) }).runInContext(realm);
  run(parser);
  run(new URL("./jsx.js", import.meta.url));
  return run(new URL("./source.js", import.meta.url));
}
