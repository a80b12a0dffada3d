const { total: again } = await import("./sum.ts");
again([4])
