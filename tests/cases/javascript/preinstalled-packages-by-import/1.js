import _ from "lodash";
import { z } from "zod";
import { validate as isUuid } from "uuid";
import * as cheerio from "cheerio";
import axios from "axios";
console.log(_.sum([1, 2]), z.number().safeParse("s").success, isUuid("no"), typeof cheerio.load, typeof axios.post);
