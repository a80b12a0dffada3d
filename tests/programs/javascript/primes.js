const sieve = (limit) => {
  const isPrime = new Uint8Array(limit + 1).fill(1, 2);
  for (let n = 2; n * n <= limit; n++) if (isPrime[n]) for (let m = n * n; m <= limit; m += n) isPrime[m] = 0;
  return [...isPrime.keys()].filter((n) => isPrime[n]);
};
console.log(sieve(100).join(" "));
