type Getters<T> = { [K in keyof T as `get${Capitalize<string & K>}`]: () => T[K] };
function getters<T extends object>(source: T): Getters<T> {
  return Object.fromEntries(Object.entries(source).map(([key, value]) => [`get${key[0]!.toUpperCase()}${key.slice(1)}`, () => value])) as Getters<T>;
}
const got = getters({ name: "Ann", age: 3 });
console.log(got.getName(), got.getAge());
