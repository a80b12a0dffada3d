console.log("enough"); setTimeout(() => console.log("never"), 10_000); process.exit(0);
