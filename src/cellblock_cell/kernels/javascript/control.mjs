// The control thread of a kernel: speaks with the agent, prepares the code, has the main thread evaluate it.
// It stays awake while the user's code keeps the main thread busy, and so can end an endless loop.

import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { writeSync } from "node:fs";
import net from "node:net";
import process from "node:process";
import { parentPort, workerData } from "node:worker_threads";

import { debuggerOf } from "./debugger.mjs";
import { Decoder, encode, Kind } from "./frames.mjs";
import { prepare } from "./source.mjs";
import { scriptName } from "./stacks.mjs";

const CONNECTION = 3;
const STOP_MS = 150; // from one attempt to stop the code to the next; the agent kills the kernel after two seconds
const STUBBORN_MS = 40; // the same on Node, where one attempt in two hits work that has heard of the interrupt and goes on

let run = null;
let count = 0;
let whenWell = null;
let isLeaving = false;

const { parse } = await import(workerData.parser);
await once(parentPort, "message"); // the main thread has made its kernel
parentPort.on("message", told); // before anything is awaited: the inspector alone does not keep this thread alive
const { post, close } = await debuggerOf(workerData.inspectorUrl, () => isLeaving || giveUp("The inspector, through which the kernel runs code, was closed."));
const { result: kernel } = await post("Runtime.evaluate", { expression: "__cellblock" });
const connection = new net.Socket({ fd: CONNECTION, readable: true, writable: true });
const decoder = new Decoder();
connection.on("data", (data) => {
  for (const frame of decoder.feed(data)) {
    if (frame.kind === Kind.CALL) begin(frame);
    else if (frame.kind === Kind.CANCEL && frame.call === run?.call) stop(run);
  }
});
for (const event of ["error", "end"]) connection.on(event, () => giveUp("The kernel's connection to the session was closed."));
connection.write(encode(Kind.HELLO));

function told({ isClosing, isWell, isIdle, isStopping, end }) {
  if (isClosing) leave();
  else if (isLeaving) giveUp("The kernel was about to end, which the code prevented.");
  else if (isWell) whenWell?.();
  else if (run === null) return;
  else if (isIdle) checkUnsettled(run);
  else if (isStopping) run.isStopping = true;
  else if (end !== undefined) finish(end);
}

async function begin({ call, meta: { code, language } }) {
  count += 1;
  const current = { call, isEvaluated: false, isStopped: false, isStopping: false, isStubborn: false, isTerminated: false };
  run = current;
  const token = randomUUID(); // the code, which can call the kernel's methods, must not know by what a later run is told
  const program = prepare({ code, language, name: scriptName(count, language), token, parse });
  parentPort.postMessage({ begin: program });
  if (program.refusal) return;
  const objectGroup = program.name; // of this run alone: the news of a run's end may come when the next one has begun
  const params = { expression: program.expression, replMode: true, awaitPromise: true, objectGroup, silent: true };
  const reply = await post("Runtime.evaluate", params);
  if (isLeaving) return;
  current.isEvaluated = true;
  if (run === current && reply?.exceptionDetails) await fail(current, program, reply.exceptionDetails);
  else if (run === current && reply) parentPort.postMessage({ settled: true });
  post("Runtime.releaseObjectGroup", { objectGroup });
}

function leave() {
  isLeaving = true;
  close();
  Atomics.store(workerData.isClosed, 0, 1);
  Atomics.notify(workerData.isClosed, 0);
}

/** Die, and not by a signal that others use: the agent tells the user of a kernel that was killed by SIGABRT, and starts another. */
function giveUp(reason) {
  try {
    writeSync(2, `${reason}\n`);
  } finally {
    process.kill(process.pid, "SIGABRT");
  }
}

/** Show the main thread what its code threw, or why and where V8 refused the text: it knows which of the two. */
async function fail(current, { name, token, code }, { exception, lineNumber, columnNumber }) {
  const { objectId, unserializableValue, value } = exception;
  const thrown = objectId ? { objectId } : unserializableValue ? { unserializableValue } : { value };
  const place = { name, token, code, line: lineNumber + 1, column: columnNumber + 1 };
  const functionDeclaration = "function (thrown, place) { this.threw(thrown, place); }";
  await post("Runtime.callFunctionOn", { functionDeclaration, objectId: kernel.objectId, arguments: [thrown, { value: place }], silent: true });
  if (run === current) parentPort.postMessage({ threw: true });
}

/** The main thread has nothing left to do but waits for something: ask whether its evaluation's end is on the way. */
async function checkUnsettled(idle) {
  await post("Runtime.evaluate", { expression: "0" });
  if (run !== idle) return;
  parentPort.postMessage(idle.isStopped ? { interrupt: true } : { unsettled: { isEvaluated: idle.isEvaluated } });
}

/**
 * Ask the main thread to abandon the run. When it is too busy to hear, end what it executes and ask again; also when it has
 * heard and its work goes on, but not in Deno, where between two turns this would hit the runtime and not the code.
 */
function stop(current) {
  current.isStopped = true;
  parentPort.postMessage({ interrupt: true });
  setTimeout(() => {
    if (run !== current) return;
    if (!current.isStopping || current.isStubborn) terminate(current);
    current.isStubborn = current.isStopping && workerData.inspectorUrl === null;
    stop(current);
  }, current.isStubborn ? STUBBORN_MS : STOP_MS);
}

function terminate(current) {
  current.isTerminated = true;
  post("Runtime.terminateExecution", {});
}

/** What was terminated may have been a part of the runtime: the agent kills a kernel that does not show that it is well. */
async function finish(exitCode) {
  const { call, isTerminated } = run;
  run = null;
  if (isTerminated) {
    await post("Runtime.evaluate", { expression: "0" });
    parentPort.postMessage({ areYouWell: true });
    await new Promise((resolve) => (whenWell = resolve));
  }
  connection.write(encode(Kind.RESULT, call, { exit_code: exitCode }));
}
