const text = "the quick brown fox jumps over the lazy dog the end";
const counts = new Map();
for (const word of text.split(" ")) counts.set(word, (counts.get(word) ?? 0) + 1);
console.log([...counts].sort(([a, n], [b, m]) => m - n || a.localeCompare(b)).map(([word, n]) => `${word}:${n}`).join("\n"));
