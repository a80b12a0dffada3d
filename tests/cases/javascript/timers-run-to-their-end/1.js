setTimeout(() => console.log("third"), 20);
setImmediate(() => console.log("second"));
queueMicrotask(() => console.log("microtask"));
console.log("first");
