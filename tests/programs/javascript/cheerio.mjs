import * as cheerio from "cheerio";
const $ = cheerio.load("<ul><li class='x'>one</li><li>two</li></ul>");
console.log($("li").map((_, element) => $(element).text()).get().join(), $("li.x").length);
