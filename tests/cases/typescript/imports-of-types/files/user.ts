export interface User { name: string }
export type Role = "admin";
enum Level { Admin }
export function describe(user: User): string { return `${user.name}, ${Level[0]}`; }
