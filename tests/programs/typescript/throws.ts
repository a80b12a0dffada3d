enum Code { Bad = 2 }
console.log(Code.Bad);
throw new TypeError("typed");
