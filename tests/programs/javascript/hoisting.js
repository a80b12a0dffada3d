console.log(typeof hoisted, typeof assigned, hoisted());
function hoisted() { return "early"; }
var assigned = 1;
try { console.log(late); } catch (error) { console.log(error.name); }
let late = 2;
