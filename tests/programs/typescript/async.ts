const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
async function* countdown(from: number): AsyncGenerator<number, void, unknown> { while (from > 0) { await sleep(1); yield from--; } }
(async (): Promise<void> => { for await (const n of countdown(3)) console.log(n); })();
