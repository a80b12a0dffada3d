// The control thread of a kernel: it hears of interrupts while the user's code keeps the main thread busy, and so can end an endless loop.

import { writeSync } from "node:fs";
import net from "node:net";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";

import { debuggerOf } from "./debugger.mjs";
import { Decoder, Kind } from "./frames.mjs";
import { Shared } from "./shared.mjs";

const INTERRUPTS = 4;
const STOP_MS = 150; // from one attempt to stop the code to the next; the agent kills the kernel after two seconds
const STUBBORN_MS = 40; // the same on Node, where one attempt in two hits work that has heard of the interrupt and goes on

const shared = new Shared(workerData.memory);
let isLeaving = false;
let connecting = null;

parentPort.on("message", told);
const decoder = new Decoder();
const connection = new net.Socket({ fd: INTERRUPTS, readable: true, writable: false });
connection.on("data", (data) => decoder.feed(data, data.length, ({ kind, call }) => kind === Kind.CANCEL && stop(call)));
connection.on("error", () => {});

async function told({ isClosing, isPrevented, areYouWell }) {
  if (isClosing) leave();
  else if (isPrevented) giveUp("The kernel was about to end, which the code prevented.");
  else if (areYouWell) {
    await (await connected()).post("Runtime.evaluate", { expression: "0" });
    parentPort.postMessage({ isWell: true });
  }
}

/** The debugger that ends endless loops; until one is there, nobody has to wait for its connection when the process ends. */
function connected() {
  shared.isDebugged = true;
  connecting ??= debuggerOf(workerData.inspectorUrl, () => isLeaving || giveUp("The inspector, which ends endless loops, was closed."));
  return connecting;
}

async function leave() {
  isLeaving = true;
  (await connecting)?.close();
  shared.isClosed = true;
}

/** Die, and not by a signal that others use: the agent tells the user of a kernel that was killed by SIGABRT, and starts another. */
function giveUp(reason) {
  try {
    writeSync(2, `${reason}\n`);
  } finally {
    process.kill(process.pid, "SIGABRT");
  }
}

/**
 * Ask the main thread to abandon the call, which it may not have begun yet. When it is too busy to hear, end what it executes and ask
 * again; also when it has heard and its work goes on, but not in Deno, where between two turns this would hit the runtime and not the code.
 */
async function stop(call) {
  let isStubborn = false;
  shared.stopping = call;
  for (;;) {
    parentPort.postMessage({ interrupt: call });
    await sleep(isStubborn ? STUBBORN_MS : STOP_MS);
    if (shared.ended === call) return;
    if (shared.begun !== call) continue;
    const hasHeard = shared.heard === call;
    if (!hasHeard || isStubborn) await terminate(call);
    isStubborn = hasHeard && workerData.inspectorUrl === null;
  }
}

async function terminate(call) {
  const { post } = await connected();
  if (shared.ended === call) return;
  shared.terminated = call;
  post("Runtime.terminateExecution", {});
}
