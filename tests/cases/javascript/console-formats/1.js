console.log("%s is %d years and %i, %j", "Ann", 41.5, 41.5, { a: 1 });
console.log("a", 1, true, null, undefined, "%");
console.log();
console.log("  indented\n\tand tabbed");
