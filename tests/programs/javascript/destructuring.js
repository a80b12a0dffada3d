const { a, b: { c = 5, ...others } = {}, ...rest } = { a: 1, b: { d: 2, e: 3 }, f: 4 };
const [first, , third = "x", ...tail] = [1, 2, undefined, 4, 5];
console.log(a, c, others.d + others.e, rest.f, first, third, tail.join());
const swap = ([x, y]) => [y, x];
console.log(swap([1, 2]).join(), Math.max(...[3, 9, 4]));
