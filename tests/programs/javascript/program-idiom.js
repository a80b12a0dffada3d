// only on nodejs: the file is a CommonJS module
function main() { console.log("main ran"); }
if (require.main === module) main();
