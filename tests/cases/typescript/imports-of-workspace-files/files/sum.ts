import { add } from "./lib/add.ts";
export const total = (numbers: number[]): number => numbers.reduce(add, 0);
