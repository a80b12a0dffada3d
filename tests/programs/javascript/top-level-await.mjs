import { setTimeout as sleep } from "node:timers/promises";
const started = Date.now();
const value = await sleep(20, "slept");
console.log(value, Date.now() - started >= 19);
