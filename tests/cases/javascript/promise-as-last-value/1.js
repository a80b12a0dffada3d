async function main() {
  await new Promise((resolve) => setTimeout(resolve, 5));
  console.log("in main");
  return 42;
}
main()
