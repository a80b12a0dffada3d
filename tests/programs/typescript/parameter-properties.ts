abstract class Shape { constructor(protected readonly name: string) {} abstract area(): number; toString(): string { return `${this.name}: ${this.area().toFixed(2)}`; } }
class Circle extends Shape { constructor(private radius: number) { super("circle"); } override area(): number { return Math.PI * this.radius ** 2; } }
class Box extends Shape { constructor(private w: number, private h = w) { super("box"); } override area(): number { return this.w * this.h; } }
for (const shape of [new Circle(1), new Box(2), new Box(2, 3)]) console.log(String(shape));
