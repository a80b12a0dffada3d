const load = (name) => import(name);
(await load("node:os")).EOL
