console.log(join("a", "b"));
import { join } from "node:path";
