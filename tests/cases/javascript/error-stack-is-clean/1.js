function f() {
  return new Error("made").stack;
}
console.log(f());
