// The main thread of a kernel, which belongs to the user's code: it begins runs, shows values and errors, and ends runs.
// A run ends as a program does, when nothing is left to do. Servers that listen do not count.

import { EventEmitter } from "node:events";
import net from "node:net";
import process from "node:process";
import timers from "node:timers";
import util from "node:util";
import { Worker } from "node:worker_threads";

import { Connection } from "./connection.mjs";
import { evaluator } from "./evaluation.mjs";
import * as modules from "./modules.mjs";
import { preparer } from "./realm.mjs";
import { Shared } from "./shared.mjs";
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
  const shared = new Shared();
  const workerData = { inspectorUrl: runtime.inspectorUrl, memory: shared.memory };
  const control = new Worker(new URL("./control.mjs", import.meta.url), { workerData });
  const kernel = Object.freeze(new Kernel(control, shared, runtime, { prepare: preparer(parser), load: modules.install(workspace) }));
  Object.defineProperty(globalThis, "__cellblock", { value: kernel }); // for good: without it nothing runs
  stacks.install();
  keepServersInBackground();
  process.on("SIGINT", () => {}); // is for the programs that the code started; the control thread is told by a frame
  control.on("error", (error) => {
    process.stderr.write(`${inspect(error)}\n`);
    exit(70);
  });
  control.unref();
}

class Kernel {
  #control;
  #shared;
  #runtime;
  #prepare;
  #load;
  #connection = new Connection((frame) => this.#begin(frame));
  #evaluate;
  #drain;
  #work;
  #count = 0;
  #run = null;
  #ended = null; // its result is not sent yet
  #value = undefined;
  #go = null;
  #isLeaving = false;
  #write = { stdout: writerOf(process.stdout), stderr: writerOf(process.stderr) };

  constructor(control, shared, runtime, { prepare, load }) {
    this.#control = control;
    this.#shared = shared;
    this.#runtime = runtime;
    this.#prepare = prepare;
    this.#load = load;
    this.#evaluate = evaluator(runtime.whileCatchingPromises);
    this.#drain = new runtime.Drain(this.#connection, () => this.#drained());
    this.#work = new Work(this.#connection.socket);
    control.on("message", (message) => this.#told(ownOf(message)));
    process.on("exit", () => this.#leave());
    process.on("uncaughtException", (error) => isHandledByUser() || this.#failed(error));
    this.#connection.hello();
  }

  /** The evaluated text awaits this first: the user's part then runs in a turn outside the inspector's, where it can be ended. */
  begun() {
    return new Promise((go) => (this.#go = go));
  }

  /** The evaluated text's static imports. */
  load(asked) {
    return modules.loaded(this.#load, asked);
  }

  /** The value of the evaluated text's last expression; of a sequence the last one. */
  value(...values) {
    this.#value = values.at(-1);
  }

  /** The code threw, in the text itself or later. Between two calls nobody is there to be told. */
  #failed(error) {
    if (this.#run !== null) this.#fail(`Uncaught ${shown(error)}\n`);
  }

  #told({ interrupt, isWell }) {
    if (isWell) this.#answer();
    else if (interrupt === this.#run?.call) this.#interrupted(this.#run);
  }

  #begin({ call, meta: { code, language } }) {
    this.#count += 1;
    this.#shared.begun = call;
    process.exitCode = undefined;
    this.#work.forget();
    const name = stacks.scriptName(this.#count, language);
    const run = { call, name, code, isSettled: false, isInterrupted: false, pending: null };
    this.#run = run;
    const program = this.#prepare({ code, language, name });
    if (program.refusal) this.#refuse(run, program.refusal, program.place);
    else this.#start(run, program);
  }

  #start(run, program) {
    stacks.keepPositions(run.name, program);
    this.#go = null;
    this.#evaluate(program.expression, {
      fulfilled: () => this.#settled(run),
      rejected: (error) => run === this.#run && this.#threw(run, error),
      refused: (message, line, column) => run === this.#run && this.#refuse(run, message, stacks.userPlace(run.name, line, column)),
    });
    const go = this.#go;
    setImmediate(() => {
      if (this.#run !== run || run.isInterrupted) return;
      if (this.#shared.stopping === run.call) {
        this.#interrupted(run); // before it began: nothing of it runs
        return;
      }
      this.#drain.watch();
      go();
    });
  }

  /** The evaluated text has come to its end, perhaps long after its run. */
  #settled(run) {
    const value = this.#value;
    this.#value = undefined;
    if (run !== this.#run || run.isSettled) return;
    run.isSettled = true;
    this.#drain.watch();
    if (!isPromise(value)) {
      this.#show(value);
      return;
    }
    run.pending = value; // as if the code had awaited its last line
    value.then((result) => run === this.#run && this.#show(result), (error) => run === this.#run && this.#failed(error));
  }

  #threw(run, error) {
    if (!isHandledByUser()) {
      this.#failed(error);
      return;
    }
    process.emit("uncaughtException", error, "uncaughtException");
    this.#settled(run);
  }

  /** Nothing is left to do: the run is over, or it can never end, or what it did was ended and the message about that is on the way. */
  #drained() {
    if (this.#run === null) return;
    const { call, isSettled, isInterrupted, pending } = this.#run;
    if (isInterrupted || this.#shared.stopping === call || (isSettled && !pending)) this.#end(process.exitCode ?? 0);
    else this.#unsettled();
  }

  /** Nobody is going to settle what the run waits for. */
  #unsettled() {
    if (this.#run.pending) {
      this.#write.stdout(`${shown(this.#run.pending)}\n`);
      this.#end(process.exitCode ?? 0);
    } else {
      this.#fail(`${this.#runtime.unsettled.text}\n`, this.#runtime.unsettled.exitCode);
    }
  }

  #show(value) {
    this.#run.pending = null;
    if (value !== undefined && !isHandle(value)) this.#write.stdout(`${shown(value)}\n`);
  }

  #refuse({ name, code }, message, place) {
    const text = code.split(/\r\n|[\n\r\u2028\u2029]/)[place?.line - 1] ?? "";
    const excerpt = place ? `${name}:${place.line}\n${text}\n${" ".repeat(place.column - 1)}^\n` : name;
    this.#fail(`${excerpt}\nUncaught SyntaxError: ${message}\n`);
  }

  #fail(text, exitCode = 1) {
    this.#write.stderr(text);
    this.#work.abandon();
    this.#end(exitCode);
  }

  /** The run ends when what is left has come to its end, for which the agent does not wait long. */
  #interrupted(run) {
    run.isInterrupted = true;
    this.#work.abandon();
    this.#drain.watch(); // its timer was among those that are abandoned
    this.#shared.heard = run.call;
  }

  #end(exitCode) {
    const { call } = this.#run;
    this.#run = null;
    this.#drain.rest();
    this.#shared.ended = call;
    this.#ended = { call, exitCode: Number(exitCode) & 0xff };
    if (this.#isLeaving) this.#control.postMessage({ isPrevented: true });
    else if (this.#shared.terminated === call) this.#control.postMessage({ areYouWell: true });
    else this.#answer();
  }

  /** What was terminated may have been a part of the runtime: only a kernel that is well comes to this. */
  #answer() {
    const { call, exitCode } = this.#ended;
    this.#connection.answer(call, exitCode);
  }

  /** Both runtimes would wait for the inspector's client, and Node say so. */
  #leave() {
    this.#isLeaving = true;
    if (!this.#shared.isDebugged) return;
    this.#control.postMessage({ isClosing: true });
    this.#shared.waitUntilClosed(CLOSE_MS);
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
