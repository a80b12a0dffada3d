import { z } from "zod";
const Item = z.object({ id: z.number(), tags: z.array(z.string()).default([]) });
type Item = z.infer<typeof Item>;
const items: Item[] = [{ id: 1 }, { id: 2, tags: ["x"] }].map((raw) => Item.parse(raw));
console.log(items.map(({ id, tags }) => `${id}:${tags.length}`).join());
