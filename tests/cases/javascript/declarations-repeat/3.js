const { d } = { d: 7 };
console.log(a, b, new C(), f(), d, rest);
