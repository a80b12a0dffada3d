import { writeFile, readFile, readdir } from "node:fs/promises";
await writeFile("note.txt", "hello\n");
console.log(await readFile("/workspace/note.txt", "utf8"), (await readdir(".")).join(), process.cwd());
