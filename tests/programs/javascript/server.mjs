import http from "node:http";
const server = http.createServer((request, response) => {
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ path: request.url, method: request.method }));
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const answer = await fetch(`http://127.0.0.1:${server.address().port}/things?x=1`, { method: "POST" });
console.log(answer.status, await answer.text());
server.close();
server.closeAllConnections();
