const controller = new AbortController();
setTimeout(() => controller.abort(new Error("enough")), 2);
try {
  await new Promise((_, reject) => controller.signal.addEventListener("abort", () => reject(controller.signal.reason)));
} catch (error) {
  console.log(error.message);
}
