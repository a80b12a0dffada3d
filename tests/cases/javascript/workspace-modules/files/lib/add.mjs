export const names = ["add"];
export default (a, b) => a + b;
