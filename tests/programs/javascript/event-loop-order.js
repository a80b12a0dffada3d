console.log("1 sync");
setTimeout(() => console.log("6 timeout"), 0);
Promise.resolve().then(() => console.log("4 microtask")).then(() => console.log("5 next microtask"));
(async () => { console.log("2 async body"); await null; console.log("4b after await"); })();
queueMicrotask(() => console.log("4c queued"));
console.log("3 sync end");
