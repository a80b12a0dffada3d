// The Deno kernel: JavaScript and TypeScript of a session, with variables that stay.
// Started as: deno run deno.mjs PARSER WORKSPACE, with the connection to the agent as descriptor 3.

import inspector from "node:inspector";
import process from "node:process";

import { serve } from "./javascript/kernel.mjs";

const { eventLoopHasMoreWork } = Deno[Deno.internal].core;
const LONGEST_WAIT_MS = 10;

/** An inspector that has a client keeps Deno's event loop alive, and with it the `beforeExit` that Node sends. So look. */
class Drain {
  #onDrained = null;
  #timer = null;

  watch(onDrained) {
    this.#onDrained = onDrained;
  }

  begin() {
    this.#lookIn(1);
  }

  soon() {
    clearTimeout(this.#timer);
    this.#lookIn(0);
  }

  end() {
    clearTimeout(this.#timer);
  }

  #lookIn(milliseconds) {
    this.#timer = setTimeout(() => {
      this.#lookIn(Math.min(LONGEST_WAIT_MS, 1 + 2 * milliseconds));
      if (globalThis.DBG) Deno.stderr.writeSync(new TextEncoder().encode([performance.now()|0, eventLoopHasMoreWork(),process.getActiveResourcesInfo()]+"\n"));
      if (!eventLoopHasMoreWork()) this.#onDrained();
    }, milliseconds);
    this.#timer.unref();
  }
}

const [parser, workspace] = Deno.args;
Object.defineProperty(Deno, "args", { value: [], enumerable: true, configurable: true });

// Deno's inspector speaks to another thread through a socket only; nothing outside the cell reaches its loopback.
inspector.open(0, "127.0.0.1");
serve({ parser, workspace, inspectorUrl: inspector.url(), drain: new Drain() });
