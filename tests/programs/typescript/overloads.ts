function area(side: number): number;
function area(width: number, height: number): number;
function area(width: number, height?: number): number { return width * (height ?? width); }
declare global { interface Window { nothing: never } }
console.log(area(3), area(2, 5));
export {};
