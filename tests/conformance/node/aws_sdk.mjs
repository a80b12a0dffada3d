// The nine tools and the four session operations by @aws-sdk/client-bedrock-agentcore; prints what came back as JSON.
import {
  BedrockAgentCoreClient,
  GetCodeInterpreterSessionCommand,
  InvokeCodeInterpreterCommand,
  ListCodeInterpreterSessionsCommand,
  StartCodeInterpreterSessionCommand,
  StopCodeInterpreterSessionCommand,
} from "@aws-sdk/client-bedrock-agentcore";

const codeInterpreterIdentifier = "aws.codeinterpreter.v1";
const client = new BedrockAgentCoreClient({ maxAttempts: 1 });
const { sessionId } = await client.send(new StartCodeInterpreterSessionCommand({ codeInterpreterIdentifier, name: "node" }));
const named = { codeInterpreterIdentifier, sessionId };

async function invoke(name, args) {
  const answer = await client.send(new InvokeCodeInterpreterCommand({ ...named, name, arguments: args }));
  const events = [];
  for await (const event of answer.stream) events.push(event.result);
  if (events.length !== 1 || answer.sessionId !== sessionId) throw new Error(`${events.length} events of ${answer.sessionId}`);
  return events[0];
}

async function refused(name, args) {
  try {
    await invoke(name, args);
    return "not refused";
  } catch (error) {
    return { name: error.name, status: error.$metadata.httpStatusCode, fields: (error.fieldList ?? []).map((field) => field.name) };
  }
}

const said = {};
const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
said.python = await invoke("executeCode", { language: "python", code: "x = 6 * 7\nprint(x)" });
said.kept = await invoke("executeCode", { language: "python", code: "x" });
said.javascript = await invoke("executeCode", { language: "javascript", code: "console.log([1, 2].map(n => n * 2).join())" });
said.typescript = await invoke("executeCode", { language: "typescript", code: "const n: number = 5; console.log(n)" });
said.failing = await invoke("executeCode", { language: "python", code: "1 / 0" });
said.chart = await invoke("executeCode", {
  language: "python",
  code: "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()",
});
said.chart = said.chart.content.filter((block) => block.type === "image").map((block) => ({
  mimeType: block.mimeType,
  signature: [...block.data.subarray(0, 4)],
}));
said.command = await invoke("executeCommand", { command: "echo out; echo err >&2; exit 3" });
said.written = await invoke("writeFiles", { content: [{ path: "a/text.txt", text: "häßlich\n" }, { path: "raw.bin", blob: bytes }] });
said.listed = await invoke("listFiles", { directoryPath: "" });
const read = await invoke("readFiles", { paths: ["a/text.txt", "raw.bin"] });
said.text = read.content[0].resource.text;
said.bytesAreExact = Buffer.compare(Buffer.from(read.content[1].resource.blob), Buffer.from(bytes)) === 0;
said.removed = await invoke("removeFiles", { paths: ["a", "raw.bin"] });
said.started = await invoke("startCommandExecution", { command: "echo begun; exec sleep 1000" });
const { taskId } = said.started.structuredContent;
said.task = await invoke("getTask", { taskId });
said.stopped = await invoke("stopTask", { taskId });
said.refused = await refused("executeCode", { language: "python" });
said.session = (await client.send(new GetCodeInterpreterSessionCommand(named))).status;
const page = await client.send(new ListCodeInterpreterSessionsCommand({ codeInterpreterIdentifier, status: "READY" }));
said.isListed = page.items.some((item) => item.sessionId === sessionId);
said.ended = (await client.send(new StopCodeInterpreterSessionCommand(named))).sessionId === sessionId;
said.after = await refused("listFiles", {});
process.stdout.write(JSON.stringify(said));
