// The Node kernel: JavaScript and TypeScript of a session, with variables that stay.
// Started as: node node.mjs PARSER WORKSPACE, with the connection to the agent as descriptor 3.

import process from "node:process";

import { serve } from "./javascript/kernel.mjs";

/** Tells when nothing is left to do: Node says so itself, as long as the control thread does not count. */
class Drain {
  #control;

  constructor(control, onDrained) {
    this.#control = control;
    process.on("beforeExit", () => {
      control.ref();
      onDrained();
    });
  }

  watch() {
    this.#control.unref();
  }

  rest() {
    this.#control.ref();
  }
}

// Otherwise what is written to a full pipe waits in memory, and is lost when the code calls process.exit().
for (const stream of [process.stdout, process.stderr]) stream._handle?.setBlocking?.(true);

const unsettled = { text: "Warning: Detected unsettled top-level await", exitCode: 13 };
serve({ parser: process.argv[2], workspace: process.argv[3], runtime: { inspectorUrl: null, Drain, unsettled } });
