// The main thread of a kernel, which belongs to the user's code: it begins runs, shows values and errors, and ends runs.
// A run ends as a program does, when nothing is left to do. Servers that listen do not count.

import { createHook } from "node:async_hooks";
import { EventEmitter } from "node:events";
import net from "node:net";
import process from "node:process";
import { clearImmediate, clearTimeout, setImmediate } from "node:timers";
import { inspect, types } from "node:util";
import { Worker } from "node:worker_threads";

import * as modules from "./modules.mjs";
import * as stacks from "./stacks.mjs";

const { Error, Math, Number, Promise } = globalThis; // the user's code may give these names another meaning
const CLOSE_MS = 200; // of a control thread that is well, more than enough

/**
 * Serve the agent for as long as this process lives. A runtime's Drain tells, from `watch` to `rest`, that nothing is left
 * to do; its `unsettled` is what it says of a top-level await that nothing can settle.
 */
export function serve({ parser, workspace, runtime }) {
  const { inspectorUrl } = runtime;
  const isClosed = new Int32Array(new SharedArrayBuffer(4));
  const control = new Worker(new URL("./control.mjs", import.meta.url), { workerData: { parser, inspectorUrl, isClosed } });
  const kernel = new Kernel(control, runtime, modules.install(workspace));
  Object.defineProperty(globalThis, "__cellblock", { value: kernel }); // for good: without it nothing runs
  stacks.install();
  keepServersInBackground();
  process.on("uncaughtException", (error) => {
    if (usersHandlers() === 0) kernel.failed(error);
  });
  process.on("SIGINT", () => {}); // is for the programs that the code started; the kernel is told by a frame
  process.on("exit", () => {
    control.postMessage({ isClosing: true }); // both runtimes would wait for the inspector's client, and Node say so
    Atomics.wait(isClosed, 0, 0, CLOSE_MS);
  });
  control.on("error", (error) => {
    process.stderr.write(`${inspect(error)}\n`);
    process.exit(70);
  });
  control.postMessage({ isReady: true });
}

class Kernel {
  #control;
  #runtime;
  #drain;
  #load;
  #run = null;
  #value = undefined;
  #go = null;
  #early = null;
  #timers = new Timers();
  #write = { stdout: process.stdout.write.bind(process.stdout), stderr: process.stderr.write.bind(process.stderr) };

  constructor(control, runtime, load) {
    this.#control = control;
    this.#runtime = runtime;
    this.#drain = new runtime.Drain(control, () => this.#drained());
    this.#load = load;
    control.on("message", (message) => this.#told(message));
  }

  /** The evaluated text awaits this first: the user's part then runs in a turn outside the inspector's, where it can be ended. */
  begun() {
    return new Promise((resolve) => {
      this.#go = resolve;
      this.#goWhenTold();
    });
  }

  /** The evaluated text's static imports. */
  load(asked) {
    return modules.loaded(this.#load, asked);
  }

  /** The value of the evaluated text's last expression; of a sequence the last one. */
  value(...values) {
    this.#value = values.at(-1);
  }

  /** The evaluated text has come to its end. */
  settled() {
    const run = this.#run;
    const value = this.#value;
    this.#value = undefined;
    if (run === null || run.isSettled) return;
    run.isSettled = true;
    this.#drain.watch();
    if (!types.isPromise(value)) {
      this.#show(value);
      return;
    }
    run.pending = value; // as if the code had awaited its last line
    value.then((result) => run === this.#run && this.#show(result), (error) => run === this.#run && this.failed(error));
  }

  /** The evaluation threw, or V8 refused the text. The inspector may call this between any two steps of other code: wait for a turn. */
  threw(error, place) {
    setImmediate(() => this.#threw(error, place));
  }

  /** At this place. May come before the message that begins the run. */
  #threw(error, place) {
    if (this.#run === null) this.#early = { error, place };
    else if (!this.#run.hasBegun) this.#refuse({ ...place, ...stacks.userPlace(place.name, place.line, place.column) }, error.message);
    else if (usersHandlers() === 0) this.failed(error);
    else this.#handledByUser(error);
  }

  /** The code threw, in the text itself or later. Between two calls nobody is there to be told. */
  failed(error) {
    if (this.#run !== null) this.#fail(`Uncaught ${shown(error)}\n`);
  }

  #told({ begin, areYouWell, settled, interrupt, unsettled }) {
    if (begin) this.#begin(begin);
    else if (areYouWell) this.#control.postMessage({ isWell: true });
    else if (this.#run === null) return;
    else if (settled) this.settled();
    else if (interrupt) this.#interrupted();
    else if (unsettled) this.#unsettled(unsettled.isEvaluated);
  }

  #begin(program) {
    process.exitCode = undefined;
    this.#timers.forget();
    this.#run = { hasBegun: false, isSettled: false, isInterrupted: false, pending: null };
    stacks.keepPositions(program.name, program);
    if (program.refusal) this.#refuse({ ...program, ...program.refusal.place }, program.refusal.message);
    else this.#goWhenTold();
    const early = this.#early;
    this.#early = null;
    if (early?.place.name === program.name) this.#threw(early.error, early.place);
  }

  /** The control thread's message and its evaluation come by different ways, in any order. */
  #goWhenTold() {
    if (this.#run === null || this.#go === null) return;
    const go = this.#go;
    this.#go = null;
    this.#run.hasBegun = true;
    setImmediate(() => {
      this.#drain.watch();
      go();
    });
  }

  #handledByUser(error) {
    process.emit("uncaughtException", error, "uncaughtException");
    this.settled();
  }

  /** Nothing is left to do: the run is over, or it can never end, or the news of its end or of a time-out are on the way. */
  #drained() {
    if (this.#run === null) return;
    const { isSettled, isInterrupted, pending } = this.#run;
    if (isInterrupted || (isSettled && !pending)) this.#end(process.exitCode ?? 0);
    else this.#control.postMessage({ isIdle: true });
  }

  /** Nobody is going to settle what the run waits for. */
  #unsettled(isEvaluated) {
    if (this.#run.pending) {
      this.#write.stdout(`${shown(this.#run.pending)}\n`);
      this.#end(process.exitCode ?? 0);
    } else if (!isEvaluated) {
      this.#fail(`${this.#runtime.unsettled.text}\n`, this.#runtime.unsettled.exitCode);
    }
  }

  #show(value) {
    this.#run.pending = null;
    if (value !== undefined && !isHandle(value)) this.#write.stdout(`${shown(value)}\n`);
  }

  #refuse({ name, code, line, column }, message) {
    const text = code.split(/\r\n|[\n\r\u2028\u2029]/)[line - 1] ?? "";
    const excerpt = line === undefined ? name : `${name}:${line}\n${text}\n${" ".repeat(column - 1)}^\n`;
    this.#fail(`${excerpt}\nUncaught SyntaxError: ${message}\n`);
  }

  #fail(text, exitCode = 1) {
    this.#write.stderr(text);
    this.#abandonWork();
    this.#end(exitCode);
  }

  /** The run ends when what is left has come to its end, for which the agent does not wait long. */
  #interrupted() {
    if (this.#run === null) return;
    this.#run.isInterrupted = true;
    this.#abandonWork();
    this.#drain.watch(); // its timer was among those that are abandoned
    this.#control.postMessage({ isStopping: true });
  }

  #abandonWork() {
    this.#timers.clear();
    for (const handle of process._getActiveHandles()) {
      if (handle instanceof net.Socket && !isStandard(handle)) handle.destroy();
      else if (typeof handle.kill === "function" && typeof handle.pid === "number") handle.kill();
    }
  }

  #end(exitCode) {
    this.#run = null;
    this.#drain.rest();
    this.#control.postMessage({ end: Number(exitCode) & 0xff });
  }
}

/** Timers of the current run, to be cleared when it ends early. */
class Timers {
  #alive = [];
  #prunedAt = 1000;

  constructor() {
    const init = (_id, type, _trigger, timer) => {
      if (type === "Timeout" || type === "Immediate") this.#add(timer);
    };
    createHook({ init, trackPromises: false }).enable();
  }

  forget() {
    this.#alive = [];
  }

  clear() {
    for (const timer of this.#alive) {
      clearTimeout(timer);
      clearImmediate(timer);
    }
    this.forget();
  }

  #add(timer) {
    this.#alive.push(timer);
    if (this.#alive.length < this.#prunedAt) return;
    this.#alive = this.#alive.filter((one) => !one._destroyed);
    this.#prunedAt = Math.max(1000, 2 * this.#alive.length);
  }
}

/** A server lasts into the next calls, and a run that waited for its end would only ever end by its time limit. */
function keepServersInBackground() {
  const { listen } = net.Server.prototype;
  net.Server.prototype.listen = function (...options) {
    listen.apply(this, options);
    this.on("connection", (socket) => socket.unref());
    return this.unref();
  };
}

/** Besides the kernel's own. */
function usersHandlers() {
  return process.listenerCount("uncaughtException") - 1;
}

function isStandard(socket) {
  return socket === process.stdin || socket === process.stdout || socket === process.stderr;
}

/** What `setTimeout(…)` or `server.listen(…)` as a last line gives back, and nobody wants to read. */
function isHandle(value) {
  return value instanceof EventEmitter || /^(Timeout|Immediate)$/.test(value?.constructor?.name);
}

function shown(value) {
  try {
    return inspect(value);
  } catch (error) {
    return `[value that cannot be shown: ${error}]`; // its own inspection threw
  }
}
