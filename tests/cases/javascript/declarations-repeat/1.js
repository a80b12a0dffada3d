const a = 1;
let b = 2;
class C {}
function f() {}
