import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
const upper = new Transform({ transform(chunk, _, done) { done(null, String(chunk).toUpperCase()); } });
const parts = [];
upper.on("data", (chunk) => parts.push(String(chunk)));
await pipeline(Readable.from(["a", "b", "c"]), upper);
console.log(parts.join("-"));
