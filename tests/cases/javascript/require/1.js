const path = require("path");
const { readFileSync } = require("node:fs");
path.join("a", "..", "b") + typeof readFileSync
