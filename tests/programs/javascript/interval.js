let n = 0;
const timer = setInterval(() => { console.log("tick", ++n); if (n === 4) clearInterval(timer); }, 2);
