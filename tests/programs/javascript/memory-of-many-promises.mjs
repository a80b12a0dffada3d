const values = await Promise.all(Array.from({ length: 20_000 }, async (_, n) => { await null; return n; }));
console.log(values.length, values.reduce((a, b) => a + b));
