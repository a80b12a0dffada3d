import { EventEmitter, once } from "node:events";
const emitter = new EventEmitter();
emitter.on("data", (value) => console.log("got", value));
setTimeout(() => { emitter.emit("data", 1); emitter.emit("end", "over"); }, 2);
const [reason] = await once(emitter, "end");
console.log(reason);
