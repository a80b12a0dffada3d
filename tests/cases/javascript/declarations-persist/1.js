const a = 1;
let b = 2;
var c = 3;
function d() { return 4; }
class E { f = 5; }
