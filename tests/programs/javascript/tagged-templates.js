const tag = (strings, ...values) => strings.raw.map((part, index) => part + (values[index] ?? "")).join("|");
console.log(tag`a${1}b${2}c`, String.raw`\n${"x"}`, `multi
line`);
