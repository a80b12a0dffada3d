const error = new Error("outer", { cause: new Error("inner") });
error.code = "E_OUTER";
try {
  throw error;
} catch (caught) {
  console.log(caught.message, caught.cause.message, caught.code);
}
