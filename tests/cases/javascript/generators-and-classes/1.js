class Tree {
  #items = [];
  static of(...items) { const tree = new Tree(); tree.#items = items; return tree; }
  *[Symbol.iterator]() { yield* this.#items; }
  get size() { return this.#items.length; }
}
const tree = Tree.of(3, 1, 2);
console.log([...tree].sort(), tree.size, structuredClone({ a: [1] }).a, Object.groupBy([1, 2, 3], (n) => (n % 2 ? "odd" : "even")).odd);
