export const a = 1;
export function f() { return a + 1; }
export default class Named {}
export { a as b };
console.log(f(), typeof Named);
