import type { User } from "./user.ts";
import { describe, type Role } from "./user.ts";
import { User as Person, Role as Part } from "./user.ts";
const person: Person = { name: "Ann" };
console.log(describe(person));
