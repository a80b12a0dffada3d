// only on nodejs: the file is a CommonJS module
const { execFileSync, spawnSync } = require("node:child_process");
console.log(execFileSync("printf", ["%s-%s", "a", "b"], { encoding: "utf8" }));
console.log(spawnSync("sh", ["-c", "exit 7"]).status);
