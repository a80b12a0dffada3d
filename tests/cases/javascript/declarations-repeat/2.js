const a = [1];
let b = "two";
class C { x = 1 }
function f() { return a; }
const { d, ...rest } = { d: 1, e: 2 };
