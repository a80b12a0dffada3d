// The control thread of a kernel: speaks with the agent, prepares the code, has the main thread evaluate it.
// It stays awake while the user's code keeps the main thread busy, and so can end an endless loop.

import { once } from "node:events";
import net from "node:net";
import process from "node:process";
import { parentPort, workerData } from "node:worker_threads";

import { debuggerOf } from "./debugger.mjs";
import { Decoder, encode, Kind } from "./frames.mjs";
import { prepare } from "./source.mjs";
import { scriptName } from "./stacks.mjs";

const CONNECTION = 3;
const STOP_MS = 150; // from one attempt to stop the code to the next; the agent kills the kernel after two seconds

let run = null;
let count = 0;

const { parse } = await import(workerData.parser);
await once(parentPort, "message"); // the main thread has made its kernel
parentPort.on("message", told); // before anything is awaited: the inspector alone does not keep this thread alive
const { post, close } = await debuggerOf(workerData.inspectorUrl);
const { result: kernel } = await post("Runtime.evaluate", { expression: "__cellblock" });
const connection = new net.Socket({ fd: CONNECTION, readable: true, writable: true });
const decoder = new Decoder();
connection.on("data", (data) => {
  for (const frame of decoder.feed(data)) {
    if (frame.kind === Kind.CALL) begin(frame);
    else if (frame.kind === Kind.CANCEL && frame.call === run?.call) stop(run);
  }
});
for (const event of ["error", "end"]) connection.on(event, () => process.kill(process.pid, "SIGKILL")); // the agent is gone
connection.write(encode(Kind.HELLO));

function told({ isClosing, isIdle, isStopping, end }) {
  if (isClosing) close();
  else if (run === null) return;
  else if (isIdle) checkUnsettled(run);
  else if (isStopping) run.isStopping = true;
  else if (end !== undefined) finish(end);
}

async function begin({ call, meta: { code, language } }) {
  count += 1;
  const current = { call, isEvaluated: false, isStopping: false, isStubborn: false };
  run = current;
  const program = prepare({ code, language, name: scriptName(count, language), parse });
  parentPort.postMessage({ begin: program });
  if (program.refusal) return;
  const params = { expression: program.expression, replMode: true, awaitPromise: true, objectGroup: "run", silent: true };
  const reply = await post("Runtime.evaluate", params);
  current.isEvaluated = true;
  if (run === current && reply?.exceptionDetails) await fail(program, reply.exceptionDetails);
  else if (run === current && reply) parentPort.postMessage({ settled: true });
  post("Runtime.releaseObjectGroup", { objectGroup: "run" });
}

/** Show the main thread what its code threw. Text that V8 refused never ran; its error has no stack that could tell where. */
async function fail({ name, code }, { exception, lineNumber, columnNumber }) {
  const { className, description, objectId, unserializableValue, value } = exception;
  if (className === "SyntaxError" && !/\n\s+at /.test(description)) {
    const message = description.replace(/^SyntaxError: /, "");
    parentPort.postMessage({ refuse: { name, code, line: lineNumber + 1, column: columnNumber + 1, message } });
    return;
  }
  const thrown = objectId ? { objectId } : unserializableValue ? { unserializableValue } : { value };
  const functionDeclaration = "function (thrown) { this.failed(thrown); }";
  await post("Runtime.callFunctionOn", { functionDeclaration, objectId: kernel.objectId, arguments: [thrown], silent: true });
}

/** The main thread has nothing left to do and its evaluation has not come back: the answer may be on its way. */
async function checkUnsettled(idle) {
  await post("Runtime.evaluate", { expression: "0" });
  if (run === idle && !idle.isEvaluated) parentPort.postMessage({ unsettled: true });
}

/** Ask the main thread to abandon the run. When it is too busy to hear, or its work goes on, end what it executes and ask again. */
function stop(current) {
  parentPort.postMessage({ interrupt: true });
  setTimeout(() => {
    if (run !== current) return;
    if (!current.isStopping || current.isStubborn) post("Runtime.terminateExecution", {});
    current.isStubborn = current.isStopping;
    stop(current);
  }, STOP_MS);
}

function finish(exitCode) {
  const { call } = run;
  run = null;
  connection.write(encode(Kind.RESULT, call, { exit_code: exitCode }));
}
