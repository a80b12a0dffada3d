console.log("x".repeat(200_000).length);
for (let i = 0; i < 2_000; i++) console.log(String(i).padStart(50, "."));
