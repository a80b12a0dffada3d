// only on nodejs: the file is a CommonJS module
const _ = require("lodash");
console.log(_.chunk([1, 2, 3, 4, 5], 2).length, _.groupBy(["one", "two", "three"], "length")[3].join(), _.camelCase("some words here"), _.get({ a: [{ b: 2 }] }, "a[0].b"));
