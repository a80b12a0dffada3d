process.exitCode = 9; console.log("still runs");
