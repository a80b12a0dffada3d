setTimeout(() => { throw new Error("late"); }, 2); setTimeout(() => console.log("never"), 100); console.log("now");
