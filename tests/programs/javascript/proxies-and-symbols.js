const log = [];
const proxy = new Proxy({}, { get: (target, key) => { log.push(String(key)); return Reflect.get(target, key) ?? 0; } });
proxy.a + proxy.b;
class Range { constructor(n) { this.n = n; } *[Symbol.iterator]() { for (let i = 0; i < this.n; i++) yield i; } [Symbol.toPrimitive]() { return this.n; } }
console.log(log.join(), [...new Range(4)].join(), new Range(5) * 2);
