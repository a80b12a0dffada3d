import { existsSync, readdirSync as list } from "fs";
console.log(existsSync("/workspace"), typeof fs.statSync, typeof os.cpus, list(".").length);
