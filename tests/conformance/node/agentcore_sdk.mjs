// The CodeInterpreter class of the bedrock-agentcore package for JavaScript, method by method; prints what came back as JSON.
import { CodeInterpreter } from "bedrock-agentcore/code-interpreter";

const interpreter = new CodeInterpreter({});
const said = {};
const started = await interpreter.startSession({ sessionName: "typescript", timeout: 600 });
said.python = await interpreter.executeCode({ code: "print(6 * 7)" });
said.javascript = await interpreter.executeCode({ code: "console.log(`${2 ** 10}`)", language: "javascript" });
said.command = await interpreter.executeCommand({ command: "pwd" });
said.written = await interpreter.writeFiles({ files: [{ path: "data/in.csv", content: "a,b\n1,2\n" }] });
said.read = await interpreter.readFiles({ paths: ["data/in.csv"] });
said.listed = await interpreter.listFiles({ path: "data" });
said.removed = await interpreter.removeFiles({ paths: ["data"] });
const session = await interpreter.getSession();
said.session = { status: session.status, name: session.name, timeout: session.sessionTimeoutSeconds };
said.isListed = (await interpreter.listSessions({ status: "READY" })).items.some((item) => item.sessionId === started.sessionId);
await interpreter.stopSession();
said.after = (await interpreter.getSession({ sessionId: started.sessionId })).status;
said.startedByItself = await interpreter.executeCode({ code: "print('a session of its own')" });
await interpreter.stopSession();
process.stdout.write(JSON.stringify(said));
