// The Deno kernel: JavaScript and TypeScript of a session, with variables that stay.
// Started as: deno run deno.mjs PARSER WORKSPACE, with the connection to the agent as descriptor 3 and
// the agent's interrupts at descriptor 4.

import inspector from "node:inspector";
import { clearImmediate, clearTimeout, setImmediate, setTimeout } from "node:timers";

import { serve } from "./javascript/kernel.mjs";

const { Math } = globalThis; // the user's code may give this name another meaning
const { eventLoopHasMoreWork, setPromiseHooks } = Deno[Deno.internal].core;
const LONGEST_WAIT_MS = 10;

/** Tells when nothing is left to do. Deno must not notice by itself: it would wait for the inspector's clients and run nothing more. */
class Drain {
  #connection;
  #onDrained;
  #timer = null;
  #turn = null;

  constructor(connection, onDrained) {
    this.#connection = connection;
    this.#onDrained = onDrained;
  }

  watch() {
    this.rest();
    this.#lookAfter(0);
  }

  rest() {
    clearTimeout(this.#timer);
    clearImmediate(this.#turn);
  }

  #lookAfter(milliseconds) {
    const look = () => {
      if (this.#isBusy()) this.#lookAfter(Math.min(LONGEST_WAIT_MS, 1 + 2 * milliseconds));
      else this.#onDrained();
    };
    const lookNextTurn = () => (this.#turn = setImmediate(look)); // in a timer's own turn the timer still counts
    if (milliseconds === 0) lookNextTurn();
    else this.#timer = setTimeout(lookNextTurn, milliseconds);
  }

  #isBusy() {
    this.#connection.unref();
    const isBusy = eventLoopHasMoreWork();
    this.#connection.ref();
    return isBusy;
  }
}

let taking = null;
setPromiseHooks((promise) => taking?.(promise)); // for good: there is no way to take a hook away

function whileCatchingPromises(work, take) {
  taking = take;
  try {
    work();
  } finally {
    taking = null;
  }
}

const [parser, workspace] = Deno.args;
Object.defineProperty(Deno, "args", { value: [], enumerable: true, configurable: true });

// Deno's inspector speaks to another thread through a socket only; nothing outside the cell reaches its loopback.
inspector.open(0, "127.0.0.1");
const unsettled = { text: "error: Top-level await promise never resolved", exitCode: 1 };
serve({ parser, workspace, runtime: { inspectorUrl: inspector.url(), Drain, whileCatchingPromises, unsettled } });
