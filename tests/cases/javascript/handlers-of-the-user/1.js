process.once("uncaughtException", (error) => console.log("handled", error.message));
setTimeout(() => { throw new Error("mine"); }, 1);
