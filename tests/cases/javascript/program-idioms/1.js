function main() { console.log("as the program"); }
if (require.main === module) main();
