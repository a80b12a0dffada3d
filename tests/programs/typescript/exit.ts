const code: number = 4;
console.log("leaving");
process.exit(code);
