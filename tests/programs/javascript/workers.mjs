import { Worker } from "node:worker_threads";
const worker = new Worker("require('worker_threads').parentPort.postMessage([1, 2, 3].map((n) => n ** 2))", { eval: true });
worker.on("message", (squares) => console.log(squares.join()));
worker.on("exit", (code) => console.log("worker ended with", code));
