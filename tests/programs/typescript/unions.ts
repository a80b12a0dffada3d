type Result<T> = { ok: true; value: T } | { ok: false; error: string };
const parse = (text: string): Result<number> => (Number.isNaN(+text) ? { ok: false, error: `not a number: ${text}` } : { ok: true, value: +text });
for (const text of ["12", "x"]) { const result = parse(text); console.log(result.ok ? result.value * 2 : result.error); }
