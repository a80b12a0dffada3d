import { total } from "./sum.ts";
import shape from "./shape.ts";
console.log(total([1, 2, 3]), shape);
