interface User { name: string; age?: number }
type Id = string | number;
const user: User = { name: "Ann" };
function greet<T extends User>(who: T, id: Id = 1): string {
  return `${who.name} ${id as number}`;
}
console.log(greet(user), (user satisfies User).name!, <string>"cast");
