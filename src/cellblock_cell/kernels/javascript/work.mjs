// What a run has under way: timers, connections and child processes, to be ended when the run ends early.

import { createHook } from "node:async_hooks";
import { ChildProcess } from "node:child_process";
import net from "node:net";
import process from "node:process";
import timers from "node:timers";

const { Math, Set } = globalThis; // the user's code may give these names, and those below, another meaning
const { clearImmediate, clearTimeout } = timers;
const activeHandles = process._getActiveHandles.bind(process);

/** Of the current run; there is one of these in a process. */
export class Work {
  #timers = new Timers();
  #children = new Children();
  #kernels;

  /** Of the sockets one is the kernel's. */
  constructor(kernels) {
    this.#kernels = kernels;
  }

  /** A run begins: what earlier ones have left behind is not its own. */
  forget() {
    this.#timers.forget();
  }

  abandon() {
    this.#timers.clear();
    this.#children.kill();
    for (const handle of activeHandles()) {
      if (handle instanceof net.Socket && handle !== this.#kernels && !isStandard(handle)) handle.destroy();
    }
  }
}

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

/** Child processes that a run waits for; one that the code has told it not to wait for goes on. Deno has no other list of them. */
class Children {
  #awaited = new Set();

  constructor() {
    const { spawn, ref, unref } = ChildProcess.prototype;
    const awaited = this.#awaited;
    Object.assign(ChildProcess.prototype, {
      spawn(...options) {
        this.once("exit", () => awaited.delete(this));
        const result = spawn.apply(this, options);
        if (this.pid !== undefined) awaited.add(this);
        return result;
      },
      ref() {
        if (this.exitCode === null && this.signalCode === null) awaited.add(this);
        return ref.apply(this);
      },
      unref() {
        awaited.delete(this);
        return unref.apply(this);
      },
    });
  }

  kill() {
    for (const child of this.#awaited) child.kill();
    this.#awaited.clear();
  }
}

function isStandard(socket) {
  return socket === process.stdin || socket === process.stdout || socket === process.stderr;
}
