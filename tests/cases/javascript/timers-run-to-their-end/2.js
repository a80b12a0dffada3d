(async () => {
  for (const n of [1, 2, 3]) {
    await new Promise((resolve) => setTimeout(resolve, 2));
    console.log(n);
  }
})();
