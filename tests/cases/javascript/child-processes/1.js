const { execSync, spawn } = require("node:child_process");
console.log(execSync("echo from a shell", { encoding: "utf8" }).trim());
const child = spawn("sh", ["-c", "echo out; echo err >&2; exit 3"], { stdio: "inherit" });
child.on("exit", (code) => console.log("ended with", code));
