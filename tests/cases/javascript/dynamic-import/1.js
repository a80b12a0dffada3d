const { join } = await import("node:path");
const name = "lod" + "ash";
const { default: _ } = await import(name);
console.log(join("x", "y"), _.VERSION.split(".")[0]);
