const line = "2024-03-01 ERROR disk full (code 28)";
const { groups } = /(?<date>\d{4}-\d\d-\d\d) (?<level>[A-Z]+) (?<text>.+?) \(code (?<code>\d+)\)/.exec(line);
console.log(groups.date, groups.level, groups.text, Number(groups.code));
console.log("a1b22c333".replace(/\d+/g, (digits) => `<${digits.length}>`), [..."x=1,y=2".matchAll(/(\w)=(\d)/g)].map(([, k, v]) => k + v).join());
