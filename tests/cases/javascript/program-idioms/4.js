typeof __dirname + process.argv.length
