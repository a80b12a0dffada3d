const date = new Date(Date.UTC(2024, 1, 29, 12, 30));
console.log(date.toISOString(), date.getUTCDay(), new Date(date.getTime() + 86_400_000).toISOString().slice(0, 10));
console.log((0.1 + 0.2).toFixed(2), 2 ** 53 + 1, 7n / 2n, Number("0x1f"), parseInt("12px"), (255).toString(16), Number.isSafeInteger(2 ** 53));
