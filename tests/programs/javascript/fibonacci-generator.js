function* fibonacci() {
  let [a, b] = [0n, 1n];
  for (;;) { yield a; [a, b] = [b, a + b]; }
}
for (const n of fibonacci()) {
  if (n > 10n ** 30n) break;
  console.log(String(n));
}
