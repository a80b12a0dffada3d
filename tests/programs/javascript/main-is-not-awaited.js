const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
async function main() {
  for (const name of ["one", "two"]) { await sleep(3); console.log(name); }
  const all = await Promise.allSettled([sleep(2).then(() => 1), Promise.reject(new Error("no"))]);
  console.log(all.map(({ status, value, reason }) => `${status} ${value ?? reason.message}`).join("; "));
}
main();
