export const shared: Map<string, number> = new Map([["a", 1]]);
shared.get("a")
