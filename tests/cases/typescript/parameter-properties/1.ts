class Point {
  constructor(public x: number, private readonly y = 2, protected z?: string) {}
  sum(): number { return this.x + this.y; }
}
console.log(new Point(1).sum());
