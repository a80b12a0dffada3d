const a: number = 1;
let b: = 3;
