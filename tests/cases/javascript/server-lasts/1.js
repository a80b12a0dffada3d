const http = require("node:http");
const server = http.createServer((request, response) => response.end(`you asked for ${request.url}`));
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
