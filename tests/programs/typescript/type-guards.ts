interface Cat { meow(): string }
interface Dog { bark(): string }
const isCat = (pet: Cat | Dog): pet is Cat => "meow" in pet;
const pets: (Cat | Dog)[] = [{ meow: () => "meow" }, { bark: () => "woof" }];
console.log(pets.map((pet) => (isCat(pet) ? pet.meow() : pet.bark())).join());
function assertPositive(n: number): asserts n is number { if (n <= 0) throw new Error(`not positive: ${n}`); }
try { assertPositive(-1); } catch (error: unknown) { console.log((error as Error).message); }
