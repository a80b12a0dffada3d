const data = { a: [1, { b: null }], date: new Date(0), skip: undefined, f() {} };
console.log(JSON.stringify(data));
console.log(JSON.stringify({ x: 1, y: [2] }, null, 2));
try { JSON.parse("{bad"); } catch (error) { console.log(error instanceof SyntaxError); }
