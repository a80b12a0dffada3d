import fs from "node:fs";
import path from "node:path";
fs.mkdirSync("made/deep", { recursive: true });
fs.writeFileSync(path.join("made", "deep", "data.json"), JSON.stringify({ rows: [1, 2, 3] }));
const { rows } = JSON.parse(fs.readFileSync("made/deep/data.json", "utf8"));
console.log(rows.reduce((a, b) => a + b), fs.readdirSync("made").join(), fs.existsSync("nothing"));
try { fs.readFileSync("nothing"); } catch (error) { console.log(error.code); }
