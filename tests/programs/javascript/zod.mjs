import { z } from "zod";
const User = z.object({ name: z.string().min(2), age: z.number().int().positive() });
console.log(User.safeParse({ name: "Ann", age: 3 }).success);
console.log(User.safeParse({ name: "A", age: -1 }).error.issues.map(({ path }) => path.join(".")).join());
