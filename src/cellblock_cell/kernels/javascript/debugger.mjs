// V8's inspector of the main thread, used from another thread to end endless loops.

import { Session } from "node:inspector";

/** A debugger of this process's main thread; Deno's inspector is reached at the URL, which the code may close, Node's without one. */
export function debuggerOf(inspectorUrl, onClosed) {
  return inspectorUrl === null ? nodeDebugger() : denoDebugger(inspectorUrl, onClosed);
}

/** `post` resolves to the command's result, or to null when it failed. */
function nodeDebugger() {
  const session = new Session();
  session.connectToMainThread();
  const send = (method, params) => new Promise((resolve) => session.post(method, params, (error, result) => resolve(error ? null : result)));
  const post = (method, params) => send(method, params).catch(() => null); // closed
  return { post, close: () => session.disconnect() };
}

async function denoDebugger(url, onClosed) {
  const socket = new WebSocket(url);
  const waiting = new Map();
  let last = 0;
  await new Promise((resolve) => socket.addEventListener("open", resolve));
  socket.addEventListener("close", onClosed);
  socket.addEventListener("message", ({ data }) => {
    const { id, result } = JSON.parse(data);
    waiting.get(id)?.(result ?? null);
    waiting.delete(id);
  });
  const post = (method, params) => {
    last += 1;
    socket.send(JSON.stringify({ id: last, method, params }));
    return new Promise((resolve) => waiting.set(last, resolve));
  };
  return { post, close: () => socket.close() };
}
