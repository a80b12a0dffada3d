import path = require("node:path");
path.extname("a.ts")
