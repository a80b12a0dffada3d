function pick(value: string): string;
function pick(value: number): number;
function pick(value: any) { return value; }
const first = <T,>(items: readonly T[]): T | undefined => items[0];
declare const nowhere: string;
console.log(pick("a"), first([1, 2]));
