// The Node kernel: JavaScript and TypeScript of a session, with variables that stay.
// Started as: node node.mjs PARSER WORKSPACE, with the connection to the agent as descriptor 3 and
// the agent's interrupts at descriptor 4.

import process from "node:process";
import { promiseHooks } from "node:v8";

import { serve } from "./javascript/kernel.mjs";

/** Tells when nothing is left to do: Node says so itself, as long as the connection does not count. */
class Drain {
  #connection;

  constructor(connection, onDrained) {
    this.#connection = connection;
    process.on("beforeExit", () => {
      connection.ref();
      onDrained();
    });
  }

  watch() {
    this.#connection.unref();
  }

  rest() {
    this.#connection.ref();
  }
}

const { onInit } = promiseHooks;

function whileCatchingPromises(work, take) {
  const stop = onInit(take);
  try {
    work();
  } finally {
    stop();
  }
}

// Otherwise what is written to a full pipe waits in memory, and is lost when the code calls process.exit().
for (const stream of [process.stdout, process.stderr]) stream._handle?.setBlocking?.(true);

const unsettled = { text: "Warning: Detected unsettled top-level await", exitCode: 13 };
serve({ parser: process.argv[2], workspace: process.argv[3], runtime: { inspectorUrl: null, Drain, whileCatchingPromises, unsettled } });
