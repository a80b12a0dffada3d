import fs, { existsSync } from "node:fs";
import * as os from "node:os";
