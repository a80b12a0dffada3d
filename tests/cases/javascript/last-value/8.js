new Map([["k", new Set([1n])]])
