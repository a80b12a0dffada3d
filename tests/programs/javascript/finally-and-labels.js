const order = [];
function f() { try { order.push("try"); return "returned"; } finally { order.push("finally"); } }
order.push(f());
outer: for (const i of [1, 2, 3]) for (const j of [1, 2, 3]) { if (j === 2) continue outer; if (i === 3) break outer; order.push(`${i}${j}`); }
switch (order.length) { case 5: order.push("five"); default: order.push("default"); }
console.log(order.join());
