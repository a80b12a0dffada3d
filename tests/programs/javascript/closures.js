const counters = Array.from({ length: 3 }, (_, start) => { let n = start; return () => ++n; });
counters[0](); counters[0]();
console.log(counters.map((count) => count()).join());
var functions = [];
for (var i = 0; i < 3; i++) functions.push(() => i);
console.log(functions.map((f) => f()).join());
