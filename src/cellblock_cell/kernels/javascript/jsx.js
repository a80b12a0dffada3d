// Whether JSX is what a parser stumbled over (a script of realm.mjs). Tags inside strings and generic types are not, wherever the true error is.

const STRINGS = /(["'])(?:\\.|(?!\1)[^\\\n])*\1|`(?:\\[^]|[^`\\])*(?:`|$)/g;
const TAGS = /<\/[A-Za-z][\w.]*>|<\/?>|<[A-Za-z][^<>\\]*\/>/; // of a line; an opening one could be a type argument
const OPENS = /(?:^|[=(?:,&|>{]|\breturn)\s*<[A-Za-z][\w.]*[^<>]*>?\s*$/; // at the end of a line, where a value belongs

/** In JavaScript no value begins with "<", so the parser stops at the very start. */
function isJsxIn(text, offset) {
  return /^<(?:>|[A-Za-z_$])/.test(text.slice(offset, offset + 2));
}

/** In TypeScript a tag begins like a type assertion: the parser stops later, in the same line or the next. */
function isJsxNear(code, line) {
  const upToLine = code.split("\n", line).join("\n");
  const [refused, previous = ""] = upToLine.replace(STRINGS, '""').split("\n").reverse();
  return TAGS.test(refused) || OPENS.test(refused) || OPENS.test(previous);
}
