interface Wide {
  name: string;
}

function fail(reason: string): never {
  const wide: Wide = { name: reason }; throw new Error(wide.name);
}
fail("here");
