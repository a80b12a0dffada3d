import { readFileSync, writeFileSync } from "node:fs";
import type { Stats } from "node:fs";
writeFileSync("rows.csv", "a,1\nb,2\n");
const rows: Array<[string, number]> = readFileSync("rows.csv", "utf8").trim().split("\n").map((line) => { const [name, n] = line.split(","); return [name!, Number(n)]; });
const size = (stats: Stats): number => stats.size;
console.log(rows.length, rows.at(-1)![0], typeof size);
