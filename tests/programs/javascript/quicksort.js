function quicksort(items) {
  if (items.length < 2) return items;
  const [pivot, ...rest] = items;
  return [...quicksort(rest.filter((x) => x < pivot)), pivot, ...quicksort(rest.filter((x) => x >= pivot))];
}
console.log(quicksort([5, 3, 8, 1, 9, 2, 7]).join());
