const _ = require("lodash");
const { z } = require("zod");
const { validate } = require("uuid");
const cheerio = require("cheerio");
const axios = require("axios");
console.log(_.chunk([1, 2, 3], 2), z.string().parse("s"), validate("no"), cheerio.load("<b>x</b>")("b").text(), typeof axios.get);
