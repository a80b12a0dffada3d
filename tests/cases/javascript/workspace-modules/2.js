(await import("./lib/add.mjs")).default(5, 6)
