// From the user's code to what V8's REPL mode evaluates: types removed, modules loaded by the kernel.
// Every change keeps lines and columns, below one line that is put before; `stacks.mjs` takes that line off again.

/* global acorn, fromBase64, stripTypeScriptTypes, isJsxIn, isJsxNear: of realm.mjs, in which this script runs */

"use strict";

const HELPERS = { import: "_load_", "import.meta": "import_meta" }; // as long as what they stand for
const SHOW = "__cellblock.value(";
const SYNTAX = {
  ecmaVersion: "latest",
  locations: true,
  sourceType: "script", // modules are strict, and code that is typed in need not be
  allowAwaitOutsideFunction: true,
  allowImportExportEverywhere: true,
};
const NO_DECORATORS = "Decorators are not supported here: neither V8 nor the type transformer knows them";
const NO_JSX = "JSX is not supported here: call the element functions, for example React.createElement, or compile the file first";

/** Code that cannot run, and where: a line and a column from 1, or null. */
class BadSource extends Error {
  constructor(message, place) {
    super(message);
    this.place = place;
  }
}

/**
 * What the main thread evaluates, the source map of transformed types, and the one place where text was put between the
 * user's; or why the code cannot run.
 */
function prepare({ code, language, name }) {
  try {
    const { text, map, program } = language === "typescript" ? withoutTypes(code) : { text: code.replace(/^#!/, "//"), map: null };
    const tree = understood(text, program);
    const { prelude, body } = withoutModuleSyntax(tree, { name, language });
    const { shown, shift } = withValueShown(body, tree);
    const strict = isStrict(tree.program) ? '"use strict"; ' : "";
    const expression = `${strict}await __cellblock.begun(); ${prelude}\n${shown}\nvoid 0;\n//# sourceURL=${name}`;
    return { expression, map, shift };
  } catch (error) {
    if (!(error instanceof BadSource)) throw error;
    return { refusal: error.message, place: error.place };
  }
}

/** The text as JavaScript; its syntax tree, where it was needed to find out. */
function withoutTypes(code) {
  try {
    const text = stripTypeScriptTypes(code).replace(/^#!/, "//"); // blanks the types out: every position stays
    return { text, map: null, program: acorn.parse(text, SYNTAX) };
  } catch {
    // enums, namespaces, parameter properties and the like need new code
  }
  try {
    const [text, map] = stripTypeScriptTypes(withImportsUsed(code), { mode: "transform", sourceMap: true }).split(
      "//# sourceMappingURL=data:application/json;base64,",
    );
    return { text: text.replace(/^#!/, "//"), map: fromBase64(map) };
  } catch (error) {
    throw typeError(code, error);
  }
}

/** Deno's transformer drops an import that the code does not use, which a later call may do: export what is imported. */
function withImportsUsed(code) {
  const names = [];
  for (const [, clause] of code.matchAll(/^[ \t]*import\s+(?!type\b)([\w$*{}\s,]+?)\s+from\s*["']/gm)) {
    const parts = clause.replace(/[{}]/g, ",").split(",");
    names.push(...parts.filter((part) => part.trim() && !/^\s*type\s/.test(part)).map((part) => part.trim().split(/\s+/).at(-1)));
  }
  return names.length ? `${code}\n;export { ${[...new Set(names)].join(", ")} };` : code;
}

/** Node tells the place in the stack, Deno in the message. */
function typeError(code, error) {
  const inDeno = /at \S*:(\d+):(\d+)\s*$/.exec(error.message);
  const inNode = /^[^\n]*:(\d+)\n[^]*?\n( *)\^+\n/.exec(error.stack);
  const [line, column] = inDeno ? [+inDeno[1], +inDeno[2]] : inNode ? [+inNode[1], inNode[2].length + 1] : [];
  const place = line ? { line, column } : null;
  const message = error.message.replace(/^SyntaxError: /, "").split(/\n| at \S*:\d+:\d+\s*$/)[0];
  return new BadSource(place && isJsxNear(code, place.line) ? NO_JSX : message, place);
}

/** The text and its syntax tree; text that the parser refuses has an empty tree, and V8 words the error. Throws BadSource. */
function understood(text, known) {
  if (/^\s*\{/.test(text) && !/;\s*$/.test(text)) {
    const plain = `(${text}\n)`; // an object literal, as in every JavaScript prompt, before it is a block
    try {
      return { plain, program: acorn.parse(plain, SYNTAX), lead: 1 };
    } catch {
      // it is a block
    }
  }
  try {
    return { plain: text, program: known ?? acorn.parse(text, SYNTAX), lead: 0 };
  } catch (error) {
    if (error.loc) refuse(text, error);
    return { plain: text, program: { type: "Program", body: [] }, lead: 0 };
  }
}

/** Throws BadSource for what the parser stumbled over when V8 would say less. */
function refuse(text, { loc, pos }) {
  const place = { line: loc.line, column: loc.column + 1 };
  if (text[pos] === "@") throw new BadSource(NO_DECORATORS, place);
  if (isJsxIn(text, pos)) throw new BadSource(NO_JSX, place);
}

function isStrict({ body }) {
  return body.some(({ directive, type }) => directive === "use strict" || /^(Im|Ex)port.*Declaration$/.test(type));
}

/** Static imports become awaited ones in front of the code; `export` goes; import() and import.meta are the kernel's. */
function withoutModuleSyntax({ plain: text, program }, script) {
  const prelude = [];
  const edits = [];
  const blank = (start, end) => edits.push([start, end, text.slice(start, end).replace(/[^\n\r\u2028\u2029]/g, " ")]);
  for (const node of program.body) {
    if (node.type === "ImportDeclaration") {
      prelude.push(...imported(node, script));
      blank(node.start, node.end);
    } else if (node.type === "ExportDefaultDeclaration") {
      if (node.declaration.id && node.declaration.type.endsWith("Declaration")) blank(node.start, node.declaration.start);
      else edits.push([node.start, node.start + "export default".length, "0,            "]); // functions need no name there
    } else if (node.type === "ExportNamedDeclaration" || node.type === "ExportAllDeclaration") {
      if (node.source) prelude.push(`await _load_(${JSON.stringify(node.source.value)});`);
      blank(node.start, node.declaration ? node.declaration.start : node.end);
    }
  }
  if (text.includes("import")) edits.push(...dynamicImports(program));
  return { prelude: prelude.join(" "), body: applied(text, edits) };
}

function imported(node, { name, language }) {
  const attributes = node.attributes.map(({ key, value }) => [key.name ?? key.value, value.value]);
  const options = attributes.length ? { with: Object.fromEntries(attributes) } : undefined;
  const isNamespace = ({ type }) => type === "ImportNamespaceSpecifier";
  const named = node.specifiers.filter((one) => !isNamespace(one)).map((one) => [nameOf(one), one.local.name]);
  const place = `${name}:${node.loc.start.line}:${node.loc.start.column + 1}`;
  const asked = { specifier: node.source.value, options, place, names: named.map(([imported]) => imported), isStrict: language === "javascript" };
  const load = `await __cellblock.load(${JSON.stringify(asked)})`;
  const lines = node.specifiers.filter(isNamespace).map(({ local }) => `const ${local.name} = (${load}).module;`);
  if (named.length) {
    const pattern = named.map(([imported, local]) => `${JSON.stringify(imported)}: ${local}`).join(", ");
    lines.push(`const { ${pattern} } = (${load}).found;`);
  }
  return lines.length ? lines : [`${load};`];
}

function nameOf(specifier) {
  if (specifier.type === "ImportDefaultSpecifier") return "default";
  return specifier.imported.name ?? specifier.imported.value;
}

function dynamicImports(program) {
  const edits = [];
  const visit = (node) => {
    if (node.type === "ImportExpression") edits.push([node.start, node.start + "import".length, HELPERS.import]);
    if (node.type === "MetaProperty" && node.meta.name === "import") edits.push([node.start, node.end, HELPERS["import.meta"]]);
    for (const child of Object.values(node)) {
      for (const one of Array.isArray(child) ? child : [child]) if (typeof one?.type === "string") visit(one);
    }
  };
  visit(program);
  return edits;
}

function applied(text, edits) {
  let result = "";
  let done = 0;
  for (const [start, end, replacement] of edits.sort(([first], [second]) => first - second)) {
    result += text.slice(done, start) + replacement;
    done = end;
  }
  return result + text.slice(done);
}

/** The last expression, handed to the kernel. A loop has a value too, and an assignment's is known: nobody wants to see these. */
function withValueShown(body, { plain, program, lead }) {
  const last = program.body.at(-1);
  if (last?.type !== "ExpressionStatement" || last.expression.type === "AssignmentExpression") return { shown: body, shift: null };
  const end = plain[last.end - 1] === ";" ? last.end - 1 : last.end;
  const shown = `${body.slice(0, last.start)}${SHOW}${body.slice(last.start, end)})${body.slice(end)}`;
  const { line, column } = last.loc.start;
  return { shown, shift: { line, column, width: SHOW.length + lead } };
}

prepare; // the script's value
