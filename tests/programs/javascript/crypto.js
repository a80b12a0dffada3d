// only on nodejs: the file is a CommonJS module
const { createHash, createHmac } = require("crypto");
console.log(createHash("sha256").update("text").digest("hex"));
console.log(createHmac("sha1", "key").update("text").digest("base64"));
