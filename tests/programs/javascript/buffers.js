const buffer = Buffer.from("héllo", "utf8");
console.log(buffer.length, buffer.toString("hex"), buffer.toString("base64"), Buffer.concat([buffer, Buffer.alloc(2)]).length);
console.log(new TextDecoder().decode(new Uint8Array([226, 130, 172])), btoa("abc"), atob("YWJj"));
