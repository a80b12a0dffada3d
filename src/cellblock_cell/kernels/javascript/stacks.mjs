// Stack traces as the user should see them: their own code, at their own lines, and nothing of the kernel.

import { SourceMap } from "node:module";

const { Error, JSON, Math, Number, String } = globalThis; // the user's code may give these names another meaning
const PLACE = /(call-\d+\.[jt]s):(\d+):(\d+)/g;
const OWN = new URL("..", import.meta.url).href;
const positions = new Map();

/** The script name of a call's code, which stack traces show. */
export function scriptName(number, language) {
  return `call-${number}.${language === "typescript" ? "ts" : "js"}`;
}

/** What lies between the evaluated text and the user's: a source map, and a place where the kernel put text between. */
export function keepPositions(name, { map, shift }) {
  if (map || shift) positions.set(name, { map: map && new SourceMap(JSON.parse(map)), shift });
}

/** Where a position of the evaluated text, from 1, is in the user's code. */
export function userPlace(name, evaluatedLine, evaluatedColumn) {
  const { map, shift } = positions.get(name) ?? {};
  const line = Math.max(1, evaluatedLine - 1); // the kernel's own line stands before the code
  const isBehind = shift?.line === line && evaluatedColumn > shift.column;
  const column = isBehind ? Math.max(1, evaluatedColumn - shift.width) : evaluatedColumn;
  const origin = map?.findOrigin(line, column);
  return origin?.lineNumber ? { line: origin.lineNumber, column: origin.columnNumber } : { line, column };
}

/** From here on every error's stack is made by this module, unless the user's code replaces it. */
export function install() {
  Error.prepareStackTrace = (error, frames) => {
    const places = usersFrames(frames).map((frame) => `\n    at ${inUsersPlaces(frame)}`);
    return head(error) + places.join("");
  };
}

function head(error) {
  try {
    return Error.prototype.toString.call(error);
  } catch {
    return "Error"; // its name or message throws
  }
}

function usersFrames(frames) {
  const theirs = frames.filter((frame) => !isOwn(frame));
  const end = theirs.findLastIndex((frame) => !isRuntimes(fileOf(frame))) + 1;
  return end ? theirs.slice(0, end) : theirs; // what called the user's code is the runtime's event loop
}

function isOwn(frame) {
  const file = fileOf(frame);
  return file.startsWith(OWN) || (file.startsWith("call-") && frame.getLineNumber() === 1 && !frame.isEval());
}

function fileOf(frame) {
  return frame.getScriptNameOrSourceURL?.() ?? frame.getFileName() ?? "";
}

function isRuntimes(file) {
  return file === "" || /^(node|ext):/.test(file);
}

function inUsersPlaces(frame) {
  const file = fileOf(frame);
  const text = file.startsWith("call-") ? String(frame).replace(/<anonymous>(?=:\d+:\d+\)?$)/, file) : String(frame);
  return text.replace(PLACE, (_, name, line, column) => {
    const place = userPlace(name, Number(line), Number(column));
    return `${name}:${place.line}:${place.column}`;
  });
}
