const value = await new Promise((resolve) => setTimeout(resolve, 5, "waited"));
for await (const n of [1, Promise.resolve(2)]) console.log(n);
