import { z } from "zod";
const Row = z.object({ id: z.number(), name: z.string().default("none") });
type Row = z.infer<typeof Row>;
const rows: Row[] = await Promise.all([1, 2].map(async (id) => Row.parse({ id })));
rows
