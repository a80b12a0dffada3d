console.group("outer");
console.log("inner");
console.groupEnd();
console.log("after");
console.assert(1 === 2, "no");
console.count("c");
