// What scripts and modules find without an import: require, module, import.meta, and the loader behind import().

import { createRequire, Module } from "node:module";
import path from "node:path";
import process from "node:process";
import { pathToFileURL, URL } from "node:url";
import vm from "node:vm";

const { Error, Object, SyntaxError } = globalThis; // the user's code may give these names another meaning

/** Make the session look like a module that lies in the workspace and was started as the program; its loader. */
export function install(workspace) {
  const filename = path.join(workspace, "session.mjs");
  const require = createRequire(filename);
  const module = Object.assign(new Module(filename), { filename, paths: require.resolve.paths("x") });
  require.main = module; // `if (require.main === module)` asks whether a file is the program
  process.argv.splice(1, process.argv.length, filename);
  const load = vm.runInThisContext("(specifier, options) => import(specifier, options)", {
    filename,
    importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER, // which resolves as if the file above asked
  });
  const values = { require, module, exports: module.exports, __filename: filename, __dirname: workspace };
  define({ ...values, import_meta: metaOf(filename, workspace), _load_: load });
  return load;
}

/** Globals that code may declare again. */
export function define(values) {
  for (const [name, value] of Object.entries(values)) {
    Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });
  }
}

function metaOf(filename, dirname) {
  const url = pathToFileURL(filename).href;
  const resolve = (specifier) => {
    if (/^\.{0,2}\//.test(specifier)) return new URL(specifier, url).href;
    const found = createRequire(filename).resolve(specifier);
    return path.isAbsolute(found) ? pathToFileURL(found).href : found;
  };
  return { __proto__: null, url, filename, dirname, main: true, resolve };
}

/** A module for a static import, and the names that are asked for, also from what a CommonJS module exports as a whole. */
export async function loaded(load, { specifier, options, names, place, isStrict }) {
  try {
    const module = await load(specifier, options);
    const found = {};
    for (const name of names) found[name] = namedIn(module, name, isStrict ? specifier : null);
    return { module, found };
  } catch (error) {
    if (error instanceof Error && !error.stack.includes(place)) error.stack += `\n    at ${place}`;
    throw error;
  }
}

/** In TypeScript a name may be absent: most likely it is a type, imported without saying so. */
function namedIn(module, name, specifier) {
  const holder = name in module ? module : Object(module.default);
  if (specifier !== null && !(name in holder)) {
    throw new SyntaxError(`The requested module '${specifier}' does not provide an export named '${name}'`);
  }
  return holder[name];
}
