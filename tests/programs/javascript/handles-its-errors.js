process.on("uncaughtException", (error) => { console.log("handled", error.message); setTimeout(() => console.log("goes on"), 5); }); throw new Error("mine");
