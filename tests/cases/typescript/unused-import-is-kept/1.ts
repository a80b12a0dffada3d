enum Mode { On }
import { join } from "node:path";
import * as os from "node:os";
