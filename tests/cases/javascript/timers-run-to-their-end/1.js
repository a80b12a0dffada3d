setTimeout(() => console.log("third"), 300);
setImmediate(() => console.log("second"));
queueMicrotask(() => console.log("microtask"));
console.log("first");
