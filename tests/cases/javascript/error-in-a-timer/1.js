setTimeout(() => {
  throw new Error("late");
}, 5);
setTimeout(() => console.log("never"), 50);
console.log("now");
