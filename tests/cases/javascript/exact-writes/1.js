process.stdout.write("no newline");
process.stderr.write("to stderr\n");
const isWritten = process.stdout.write(" then more\n");
