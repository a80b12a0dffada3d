const answer = await fetch(`http://127.0.0.1:${server.address().port}/page`);
await answer.text()
