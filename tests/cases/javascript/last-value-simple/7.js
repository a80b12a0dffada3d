console.log("only this")
