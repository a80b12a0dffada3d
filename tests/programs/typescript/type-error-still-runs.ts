const n: number = "not a number" as any;
const wrong: string = 5 as unknown as string;
console.log(typeof n, typeof wrong);
