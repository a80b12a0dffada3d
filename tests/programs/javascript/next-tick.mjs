// only on nodejs: Deno's own order differs
setTimeout(() => console.log("timeout"), 5);
process.nextTick(() => console.log("tick"));
Promise.resolve().then(() => console.log("promise"));
console.log("sync");
