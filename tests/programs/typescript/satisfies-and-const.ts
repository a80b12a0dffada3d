const routes = { home: "/", user: "/user" } as const satisfies Record<string, `/${string}`>;
const names = Object.keys(routes) as (keyof typeof routes)[];
let definitely!: string;
definitely = routes.user;
console.log(names.join(), definitely, (<const>["a", "b"]).length);
