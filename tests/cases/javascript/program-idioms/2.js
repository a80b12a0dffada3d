import { fileURLToPath } from "node:url";
if (process.argv[1] === fileURLToPath(import.meta.url)) console.log("as a module", import.meta.dirname);
