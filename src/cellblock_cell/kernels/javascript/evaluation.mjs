// V8's REPL mode, which lets a later call declare a name again, by way of the inspector: a session of the main thread with itself.
// V8 would answer for a promise that was collected from inside the garbage collector, where an answer crashes the process: so each
// evaluation's promise, which V8 gives to nobody, is caught when it is made, and held until it is settled.

import { Session } from "node:inspector";

const { Reflect } = globalThis; // the user's code may give this name, and the methods below, another meaning
const { apply } = Reflect;
const { then } = Promise.prototype;
const { post } = Session.prototype;
const OBJECTS = "run"; // what was thrown: V8 keeps it until it is released

/** `whileCatching(work, take)` calls `take` with each promise that is made during the work. */
export function evaluator(whileCatching) {
  const session = new Session();
  session.connect();
  const held = { __proto__: null };
  let count = 0;
  const send = (method, params, answered) => apply(post, session, [method, params, answered]);

  /** One of `fulfilled`, `rejected` with the reason and `refused` with a message, a line and a column from 1 is called, later or at once. */
  return function evaluate(expression, { fulfilled, rejected, refused }) {
    const number = (count += 1);
    let promise = null;
    const params = { expression, replMode: true, silent: true, objectGroup: OBJECTS };
    const answered = (error, answer) => {
      if (promise === null) explain(send, error, answer?.exceptionDetails, refused);
    };
    whileCatching(() => send("Runtime.evaluate", params, answered), (made) => (promise ??= made));
    if (promise === null) return;
    held[number] = promise;
    const release = () => delete held[number];
    apply(then, promise, [
      () => release() && fulfilled(),
      (reason) => {
        release();
        send("Runtime.releaseObjectGroup", { objectGroup: OBJECTS }, () => {});
        rejected(reason);
      },
    ]);
  };
}

/** V8 refused the text. */
function explain(send, error, details, refused) {
  if (error) {
    refused(error.message, 1, 1);
    return;
  }
  const { lineNumber, columnNumber, exception } = details;
  const params = { functionDeclaration: "function () { return this.message; }", objectId: exception.objectId, returnByValue: true, silent: true };
  send("Runtime.callFunctionOn", params, (_, answer) => refused(answer.result.value, lineNumber + 1, columnNumber + 1));
  send("Runtime.releaseObjectGroup", { objectGroup: OBJECTS }, () => {});
}
