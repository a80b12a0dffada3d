"""The nine tools over a real socket: arguments, shapes, texts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cellblock.model.calls import Call, Entry, FileRead, Image, Listing, RunCode, TaskState
from cellblock.model.results import FileBlock, LinkBlock
from cellblock.service import tool_results
from service.fake_node import FakeCell, FakeNode, done
from service.served import BUILT_IN, Served, Session, off_loop

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


def script(node: FakeNode, text: str, reply: Any) -> None:
    """Let this code or command end so."""

    async def answer(cell: FakeCell, request: Call[Any]) -> Any:
        return reply

    node.scripts[text] = answer


@pytest.fixture
async def session(served: Served) -> Session:
    return await served.start()


async def test_output_has_no_trailing_newline_and_keeps_leading_space(session: Session) -> None:
    script(session.served.node, "table", done("   a\n0  1\n\n"))
    result = await session.run("table")
    assert result["content"] == [{"type": "text", "text": "   a\n0  1"}]
    assert result["structuredContent"] == {"stdout": "   a\n0  1", "stderr": "", "exitCode": 0, "executionTime": 0.0125}
    assert result["isError"] is False


async def test_code_that_prints_nothing_gives_one_empty_text(session: Session) -> None:
    script(session.served.node, "x = 1", done())
    assert (await session.run("x = 1"))["content"] == [{"type": "text", "text": ""}]


async def test_failing_code_is_a_result_with_stdout_then_stderr(session: Session) -> None:
    script(session.served.node, "1/0", done("before\n", stderr="ZeroDivisionError\n", exit_code=1))
    result = await session.run("1/0")
    assert [block["text"] for block in result["content"]] == ["before", "ZeroDivisionError"]
    assert (result["isError"], result["structuredContent"]["exitCode"]) == (True, 1)


async def test_image_follows_the_text(session: Session) -> None:
    script(session.served.node, "plt.show()", done("plotted\n", images=(Image("image/png", PNG),)))
    result = await session.run("plt.show()")
    assert [block["type"] for block in result["content"]] == ["text", "image"]
    assert (result["content"][1]["mimeType"], result["content"][1]["data"]) == ("image/png", PNG)


async def test_time_out_keeps_the_output_and_names_the_limit(session: Session) -> None:
    script(session.served.node, "while True: pass", done("tick\n", exit_code=130, outcome="timeout", note="variables are lost"))
    result = await session.run("while True: pass")
    text = result["content"][0]["text"]
    assert text.startswith("CodeExecutionTimeoutException: ")
    assert text.endswith("\ntick")
    assert "variables are lost" in text
    assert (result["isError"], result["structuredContent"]["exitCode"]) == (True, 124)
    assert result["structuredContent"]["stdout"] == "tick"


async def test_death_of_the_kernel_is_told_after_the_output(session: Session) -> None:
    note = "the kernel was killed by SIGSEGV; variables are lost, files are kept"
    script(session.served.node, "crash", done("one\n", exit_code=139, outcome="killed", note=note))
    result = await session.run("crash")
    assert [block["text"] for block in result["content"]] == ["one", note]
    assert result["structuredContent"]["stderr"] == note
    assert (result["isError"], result["structuredContent"]["exitCode"]) == (True, 139)


async def test_dropped_output_is_marked(session: Session) -> None:
    script(session.served.node, "much", done("kept\n", dropped_bytes=77))
    assert (await session.run("much"))["content"][0]["text"] == "kept\n[77 bytes of output dropped: it is over the limit]"


@pytest.mark.parametrize("output", [b"\x00" * 10_000_000, b"\xff" * 10_000_000, "é".encode() * 5_000_000, b'"' * 10_000_000])
async def test_output_that_bursts_the_event_is_cut_to_fit(session: Session, output: bytes) -> None:
    script(session.served.node, "burst", done(output, images=(Image("image/png", bytes(6_000_000)),)))
    result = await session.run("burst")
    assert "bytes of output dropped" in result["content"][0]["text"][-100:]
    assert len(result["content"][1]["data"]) == 6_000_000
    kept, _, marker = result["structuredContent"]["stdout"].rpartition("\n")
    if output[0] != 0xFF:
        dropped = int(marker[1:].split()[0])
        assert len(kept.encode()) + dropped == len(output)


async def test_ten_megabytes_of_plain_output_arrive_whole(session: Session) -> None:
    output = b"0123456789abcdef" * (10 * 1024 * 1024 // 16)
    script(session.served.node, "ten", done(output))
    result = await session.run("ten")
    assert result["content"][0]["text"].encode() == output
    assert result["structuredContent"]["stdout"].encode() == output


@pytest.mark.parametrize("arguments", [{"code": "1"}, {"language": "python"}, {}])
async def test_code_and_language_are_both_needed(session: Session, arguments: dict[str, str]) -> None:
    error = await session.refused("executeCode", **arguments)
    assert error["Error"] == {"Code": "ValidationException", "Message": "code and language fields are required in argument."}
    assert error["fieldList"]


async def test_code_of_100_kb_runs_and_one_byte_more_is_refused(session: Session) -> None:
    assert (await session.run("#" * 102_400))["isError"] is False
    error = await session.refused("executeCode", language="python", code="#" * 102_401)
    assert error["Error"]["Code"] == "ValidationException"
    assert "102400" in error["Error"]["Message"]


@pytest.mark.parametrize(("language", "runtime"), [("javascript", "nodejs"), ("typescript", "nodejs"), ("python", "python")])
async def test_language_has_a_default_runtime(session: Session, language: str, runtime: str) -> None:
    await session.invoke("executeCode", language=language, code="1")
    (call,) = session.cell.calls
    assert (call.language, call.runtime) == (language, runtime)


async def test_runtime_is_chosen_by_the_call(session: Session) -> None:
    await session.invoke("executeCode", language="typescript", code="1", runtime="deno")
    (call,) = session.cell.calls
    assert (call.language, call.runtime) == ("typescript", "deno")


@pytest.mark.parametrize(("language", "runtime"), [("python", "deno"), ("python", "nodejs"), ("javascript", "python")])
async def test_refusal_names_language_and_runtime(session: Session, language: str, runtime: str) -> None:
    message = (await session.refused("executeCode", language=language, code="1", runtime=runtime))["Error"]["Message"]
    assert f"runtime {runtime} does not run {language}" in message


async def test_runtime_of_another_language_is_refused(session: Session) -> None:
    error = await session.refused("executeCode", language="python", code="1", runtime="deno")
    assert error["Error"]["Code"] == "ValidationException"
    assert error["fieldList"][0]["name"] == "arguments.runtime"


async def test_clear_context_reaches_the_cell(session: Session) -> None:
    await session.invoke("executeCode", language="python", code="1", clearContext=True)
    (call,) = session.cell.calls
    assert isinstance(call, RunCode)
    assert (call.clear_context, call.language, call.runtime) == (True, "python", "python")


async def test_command_that_fails_is_an_error_with_its_exit_code(session: Session) -> None:
    script(session.served.node, "nope", done(stderr="bash: nope: command not found\n", exit_code=127))
    result = await session.invoke("executeCommand", command="nope")
    assert [block["text"] for block in result["content"]] == ["bash: nope: command not found"]
    assert (result["isError"], result["structuredContent"]["exitCode"]) == (True, 127)


async def test_task_starts_with_its_id_in_the_header_too(session: Session) -> None:
    answer = await off_loop(
        session.client.invoke_code_interpreter,
        codeInterpreterIdentifier=BUILT_IN,
        sessionId=session.id,
        name="startCommandExecution",
        arguments={"command": "python train.py"},
    )
    (event,) = list(answer["stream"])
    task_id = answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-code-interpreter-task-id"]
    assert event["result"] == {
        "content": [{"type": "text", "text": "Successfully started a command execution task"}],
        "structuredContent": {"taskId": task_id, "taskStatus": "submitted", "stdout": "", "stderr": ""},
        "isError": False,
    }


async def test_task_is_asked_about_and_stopped(session: Session) -> None:
    started = await session.invoke("startCommandExecution", command="sleep 100")
    task_id = started["structuredContent"]["taskId"]
    working = await session.invoke("getTask", taskId=task_id)
    assert working["content"] == [{"type": "text", "text": "Task is working"}]
    assert working["structuredContent"] == {"taskStatus": "working", "stdout": "so far", "stderr": ""}
    stopped = await session.invoke("stopTask", taskId=task_id)
    assert stopped["content"] == [{"type": "text", "text": "Successfully canceled a command execution task"}]


async def test_finished_task_shows_its_output_and_cannot_be_stopped(session: Session) -> None:
    await session.invoke("listFiles")
    session.cell.tasks["t-1"] = TaskState(status="completed", stdout=b"42\n", stderr=b"", exit_code=0, seconds=1.5)
    finished = await session.invoke("getTask", taskId="t-1")
    assert finished["content"] == [{"type": "text", "text": "42"}]
    assert finished["structuredContent"] == {
        "taskStatus": "completed",
        "stdout": "42",
        "stderr": "",
        "exitCode": 0,
        "executionTime": 1.5,
    }
    stopped = await session.invoke("stopTask", taskId="t-1")
    assert stopped["isError"] is True
    assert stopped["content"][0]["text"] == "Task cannot be canceled (current status: TaskStatus.COMPLETED)"


@pytest.mark.parametrize("tool", ["getTask", "stopTask"])
async def test_unknown_task_is_named(session: Session, tool: str) -> None:
    result = await session.invoke(tool, taskId="7f9f")
    assert result["isError"] is True
    assert "7f9f" in result["content"][0]["text"]
    assert "structuredContent" not in result


async def test_files_come_back_as_they_were_written(session: Session) -> None:
    files = [{"path": "a b/ü.csv", "text": "x,y\r\n1,2"}, {"path": "figure.png", "blob": PNG}, {"path": "empty", "text": ""}]
    written = await session.invoke("writeFiles", content=files)
    assert written == {"content": [{"type": "text", "text": "Successfully wrote all 3 files"}], "isError": False}
    read = await session.invoke("readFiles", paths=["a b/ü.csv", "figure.png", "empty"])
    assert [block["resource"] for block in read["content"]] == [
        {"type": "text", "uri": "file:///a b/ü.csv", "mimeType": "text/csv", "text": "x,y\r\n1,2"},
        {"type": "blob", "uri": "file:///figure.png", "mimeType": "image/png", "blob": PNG},
        {"type": "text", "uri": "file:///empty", "mimeType": "text/plain", "text": ""},
    ]
    assert {block["type"] for block in read["content"]} == {"resource"}


async def test_missing_file_is_named_and_the_others_are_returned(session: Session) -> None:
    await session.invoke("writeFiles", content=[{"path": "here", "text": "1"}])
    result = await session.invoke("readFiles", paths=["gone", "here"])
    assert result["isError"] is True
    assert (result["content"][0]["type"], "gone" in result["content"][0]["text"]) == ("text", True)
    assert result["content"][1]["resource"]["text"] == "1"


async def test_files_beyond_the_event_are_named_with_size_limit_and_other_ways(session: Session) -> None:
    big = bytes(range(256)) * (9 * 4096)
    await session.invoke("writeFiles", content=[{"path": "one", "blob": big}, {"path": "two", "blob": big}])
    result = await session.invoke("readFiles", paths=["one", "two"])
    assert result["content"][0]["resource"]["blob"] == big
    text = result["content"][1]["text"]
    assert all(part in text for part in ("two", str(len(big)), str(16 * 1024 * 1024), "S3"))
    assert result["isError"] is True


async def test_text_whose_escapes_burst_the_event_is_named(session: Session) -> None:
    await session.invoke("writeFiles", content=[{"path": "nul", "text": "\0" * 5_000_000}])
    result = await session.invoke("readFiles", paths=["nul"])
    assert "nul" in result["content"][0]["text"]
    assert result["isError"] is True


async def test_listing_links_files_with_their_size(session: Session) -> None:
    assert (await session.invoke("listFiles"))["content"] == []
    await session.invoke("writeFiles", content=[{"path": "data.csv", "text": "a,b"}])
    (block,) = (await session.invoke("listFiles", directoryPath="sub/dir"))["content"]
    assert block == {
        "type": "resource_link",
        "mimeType": "text/csv",
        "uri": "file:///sub/dir/data.csv",
        "name": "data.csv",
        "description": "File",
        "size": 3,
    }


@pytest.mark.parametrize("directory", ["", ".", "/workspace", "a b", "./a//b", "/workspace/ü"])
def test_entry_of_a_listing_has_the_uri_and_the_type_that_its_file_is_read_with(directory: str) -> None:
    names = ("plain", "data.csv", ".hidden", ".x.csv", "a.tar.gz", "b.csv.gz", "c.TGZ", "d:e.png", "dots..py", "ü.svgz", "end.")
    listing = tool_results.of_listing(directory, Listing(tuple(Entry(name, "file", 1) for name in names)))
    for name, link in zip(names, listing.content, strict=True):
        path = f"{directory}/{name}" if directory else name
        (read,) = tool_results.of_files((FileRead(path=path, data=b"\xff", size=1),), limit_bytes=10).content
        assert isinstance(link, LinkBlock)
        assert isinstance(read, FileBlock)
        assert (link.uri, link.mime_type, link.name) == (read.uri, read.mime_type, name)


async def test_listing_beyond_the_event_says_how_many_are_left(session: Session) -> None:
    await session.invoke("listFiles")
    session.cell.files.update({f"{number:06}-{'n' * 100}": b"" for number in range(60_000)})
    result = await session.invoke("listFiles")
    shown = [block for block in result["content"] if block["type"] == "resource_link"]
    assert result["content"][-1]["text"].startswith(f"{60_000 - len(shown)} more entries")
    assert result["isError"] is True


async def test_removal_says_what_was_missing(session: Session) -> None:
    await session.invoke("writeFiles", content=[{"path": "a", "text": "1"}, {"path": "b", "text": "1"}])
    assert (await session.invoke("removeFiles", paths=["a"]))["content"][0]["text"] == "Successfully removed all 1 files"
    result = await session.invoke("removeFiles", paths=["b", "never"])
    assert result["isError"] is True
    assert "never" in result["content"][0]["text"]
    assert "b" not in session.cell.files


async def test_path_of_255_characters_is_written_and_256_refused(session: Session) -> None:
    assert (await session.invoke("writeFiles", content=[{"path": "p" * 255, "text": ""}]))["isError"] is False
    for tool, arguments in (
        ("writeFiles", {"content": [{"path": "p" * 256, "text": ""}]}),
        ("readFiles", {"paths": ["p" * 256]}),
        ("removeFiles", {"paths": ["p" * 256]}),
        ("listFiles", {"directoryPath": "p" * 256}),
    ):
        error = await session.refused(tool, **arguments)
        assert (error["Error"]["Code"], "255" in error["Error"]["Message"]) == ("ValidationException", True)


@pytest.mark.parametrize("file", [{"path": "a"}, {"path": "a", "text": "1", "blob": b"1"}])
async def test_file_needs_exactly_one_of_text_and_blob(session: Session, file: dict[str, Any]) -> None:
    error = await session.refused("writeFiles", content=[file])
    assert error["Error"]["Code"] == "ValidationException"


@pytest.mark.parametrize(
    ("tool", "field"),
    [
        ("executeCommand", "command"),
        ("startCommandExecution", "command"),
        ("getTask", "taskId"),
        ("stopTask", "taskId"),
        ("writeFiles", "content"),
        ("readFiles", "paths"),
        ("removeFiles", "paths"),
    ],
)
async def test_missing_argument_is_named(session: Session, tool: str, field: str) -> None:
    error = await session.refused(tool)
    assert error["Error"]["Message"] == f"{field} field is required in argument."
    assert [problem["name"] for problem in error["fieldList"]] == [f"arguments.{field}"]


async def test_result_keys_come_in_the_order_of_the_service(session: Session) -> None:
    answer = await off_loop(
        session.client.invoke_code_interpreter,
        codeInterpreterIdentifier=BUILT_IN,
        sessionId=session.id,
        name="executeCode",
        arguments={"language": "python", "code": "1"},
    )
    raw = answer["stream"]._raw_stream.read()
    payload = raw[raw.index(b'{"content"') : raw.rindex(b"}") + 1]
    assert list(json.loads(payload)) == ["content", "structuredContent", "isError"]
