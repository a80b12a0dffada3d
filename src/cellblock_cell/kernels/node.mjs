// The Node kernel: JavaScript and TypeScript of a session, with variables that stay.
// Started as: node node.mjs PARSER WORKSPACE, with the connection to the agent as descriptor 3.

import process from "node:process";

import { serve } from "./javascript/kernel.mjs";

// Otherwise what is written to a full pipe waits in memory, and is lost when the code calls process.exit().
for (const stream of [process.stdout, process.stderr]) stream._handle?.setBlocking?.(true);

const drain = { watch: (onDrained) => process.on("beforeExit", onDrained), begin() {}, soon() {}, end() {} };
serve({ parser: process.argv[2], workspace: process.argv[3], inspectorUrl: null, drain });
