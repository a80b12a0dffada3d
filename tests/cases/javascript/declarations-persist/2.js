console.log(a, b, c, d(), new E().f);
b += 10;
