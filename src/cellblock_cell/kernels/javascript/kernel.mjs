// The main thread of a kernel, which belongs to the user's code: it begins runs, shows values and errors, and ends runs.
// A run ends as a program does, when nothing is left to do. Servers that listen do not count.

import { EventEmitter } from "node:events";
import net from "node:net";
import process from "node:process";
import timers from "node:timers";
import util from "node:util";
import { Worker } from "node:worker_threads";

import * as modules from "./modules.mjs";
import * as stacks from "./stacks.mjs";
import { Work } from "./work.mjs";

const { Number, Promise } = globalThis; // the user's code may give these names, and those below, another meaning
const { setImmediate } = timers;
const { inspect } = util;
const { isPromise } = util.types;
const bytesOf = Buffer.from.bind(Buffer);
const exit = process.exit.bind(process);
const CLOSE_MS = 200; // of a control thread that is well, more than enough

/**
 * Serve the agent for as long as this process lives. A runtime's Drain tells, from `watch` to `rest`, that nothing is left
 * to do; its `unsettled` is what it says of a top-level await that nothing can settle.
 */
export function serve({ parser, workspace, runtime }) {
  const { inspectorUrl } = runtime;
  const isClosed = new Int32Array(new SharedArrayBuffer(4));
  const control = new Worker(new URL("./control.mjs", import.meta.url), { workerData: { parser, inspectorUrl, isClosed } });
  const kernel = Object.freeze(new Kernel(control, runtime, modules.install(workspace)));
  Object.defineProperty(globalThis, "__cellblock", { value: kernel }); // for good: without it nothing runs
  stacks.install();
  keepServersInBackground();
  process.on("uncaughtException", (error) => {
    if (!isHandledByUser()) kernel.failed(error);
  });
  process.on("SIGINT", () => {}); // is for the programs that the code started; the kernel is told by a frame
  process.on("exit", () => {
    control.postMessage({ isClosing: true }); // both runtimes would wait for the inspector's client, and Node say so
    Atomics.wait(isClosed, 0, 0, CLOSE_MS);
  });
  control.on("error", (error) => {
    process.stderr.write(`${inspect(error)}\n`);
    exit(70);
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
  #started = { __proto__: null }; // by the token of the run, as is what was thrown: the code does not know it, and so cannot stand in the way
  #thrown = { __proto__: null };
  #work = new Work();
  #write = { stdout: writerOf(process.stdout), stderr: writerOf(process.stderr) };

  constructor(control, runtime, load) {
    this.#control = control;
    this.#runtime = runtime;
    this.#drain = new runtime.Drain(control, () => this.#drained());
    this.#load = load;
    control.on("message", (message) => this.#told(message));
  }

  /**
   * The evaluated text awaits this first: the user's part then runs in a turn outside the inspector's, where it can be ended. The inspector
   * calls this and `threw` between any two steps of other code, the runtime's too, so that they may do nothing but keep what they are given.
   */
  begun(token) {
    return new Promise((go) => (this.#started[token] = go));
  }

  /** The evaluation threw, or V8 refused the text, at this place. A message follows. */
  threw(error, place) {
    this.#thrown[place.token] = { error, place };
  }

  /** The evaluated text's static imports. */
  load(asked) {
    return modules.loaded(this.#load, asked);
  }

  /** The value of the evaluated text's last expression; of a sequence the last one. */
  value(...values) {
    this.#value = values.at(-1);
  }

  /** The evaluated text of this token has come to its end, perhaps long after its run. */
  settled(token) {
    const run = this.#run;
    const value = this.#value;
    this.#value = undefined;
    if (run === null || run.token !== token || run.isSettled) return;
    run.isSettled = true;
    this.#drain.watch();
    if (!isPromise(value)) {
      this.#show(value);
      return;
    }
    run.pending = value; // as if the code had awaited its last line
    value.then((result) => run === this.#run && this.#show(result), (error) => run === this.#run && this.failed(error));
  }

  /** The code threw, in the text itself or later. Between two calls nobody is there to be told. */
  failed(error) {
    if (this.#run !== null) this.#fail(`Uncaught ${shown(error)}\n`);
  }

  #told(message) {
    const { begin, areYouWell, settled, threw, interrupt, unsettled } = ownOf(message);
    if (begin) this.#begin(ownOf(begin));
    else if (areYouWell) this.#control.postMessage({ isWell: true });
    else if (this.#run === null) return;
    else if (settled) this.settled(this.#run.token);
    else if (threw) this.#toldOfError();
    else if (interrupt) this.#interrupted();
    else if (unsettled) this.#unsettled(unsettled.isEvaluated);
  }

  #begin(program) {
    process.exitCode = undefined;
    this.#work.forget();
    this.#run = { token: program.token, hasBegun: false, isSettled: false, isInterrupted: false, pending: null };
    stacks.keepPositions(program.name, program);
    if (program.refusal) this.#refuse({ ...program, ...program.refusal.place }, program.refusal.message);
    else this.#goWhenStarted(this.#run);
  }

  /** The control thread's message and its evaluation come by different ways; whichever is late is late by moments. */
  #goWhenStarted(run) {
    setImmediate(() => {
      if (this.#run !== run || run.isInterrupted) return;
      const go = this.#started[run.token];
      if (go === undefined) {
        this.#goWhenStarted(run);
        return;
      }
      this.#started = { __proto__: null };
      run.hasBegun = true;
      this.#drain.watch();
      go();
    });
  }

  #toldOfError() {
    const { error, place } = this.#thrown[this.#run.token] ?? {};
    this.#thrown = { __proto__: null };
    if (place === undefined) return;
    if (!this.#run.hasBegun) this.#refuse({ ...place, ...stacks.userPlace(place.name, place.line, place.column) }, error.message);
    else if (isHandledByUser()) this.#handledByUser(error);
    else this.failed(error);
  }

  #handledByUser(error) {
    process.emit("uncaughtException", error, "uncaughtException");
    this.settled(this.#run?.token);
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
    this.#work.abandon();
    this.#end(exitCode);
  }

  /** The run ends when what is left has come to its end, for which the agent does not wait long. */
  #interrupted() {
    if (this.#run === null) return;
    this.#run.isInterrupted = true;
    this.#work.abandon();
    this.#drain.watch(); // its timer was among those that are abandoned
    this.#control.postMessage({ isStopping: true });
  }

  #end(exitCode) {
    this.#run = null;
    this.#drain.rest();
    this.#control.postMessage({ end: Number(exitCode) & 0xff });
  }
}

Object.freeze(Kernel.prototype); // which the user's code can reach

/** Writes text as bytes: Deno's streams would ask the code's own Buffer for them. */
function writerOf(stream) {
  const write = stream.write.bind(stream);
  return (text) => write(bytesOf(text));
}

/** What the message itself says, whatever the code has put into the prototype of every object. */
function ownOf(message) {
  return { __proto__: null, ...message };
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

/** Besides the kernel's own handler, unless the code has removed that too. */
function isHandledByUser() {
  return process.listenerCount("uncaughtException") > 1;
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
