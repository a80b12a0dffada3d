class Stack<T> {
  private items: T[] = [];
  push(...items: T[]): this { this.items.push(...items); return this; }
  pop(): T | undefined { return this.items.pop(); }
  get size(): number { return this.items.length; }
}
const stack = new Stack<number>().push(1, 2, 3);
console.log(stack.pop(), stack.size);
function groupBy<T, K extends PropertyKey>(items: readonly T[], key: (item: T) => K): Record<K, T[]> {
  return items.reduce((groups, item) => { (groups[key(item)] ??= []).push(item); return groups; }, {} as Record<K, T[]>);
}
console.log(JSON.stringify(groupBy(["a", "bb", "cc"], (word) => word.length)));
