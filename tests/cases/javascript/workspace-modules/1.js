import add, { names } from "./lib/add.mjs";
const { double } = require("./double.cjs");
import settings from "./settings.json" with { type: "json" };
console.log(add(1, 2), names.join(), double(4), settings.depth);
