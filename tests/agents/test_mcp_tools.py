"""What a model gets from each tool of `/mcp`, in a real session."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import mcp_types as types
import pytest
from jsonschema import Draft202012Validator
from mcp.client import Client

from mcp_clients import texts

NAMES = [
    "execute_code",
    "execute_command",
    "start_command",
    "get_task",
    "stop_task",
    "write_files",
    "read_files",
    "list_files",
    "remove_files",
]
CHART = "import matplotlib.pyplot as plt\nplt.plot([1, 3, 2])\nplt.show()"
PNG = b"\x89PNG\r\n\x1a\n"
LIMIT = 2048


async def use(client: Client, tool: str, **arguments: Any) -> types.CallToolResult:
    """A call that must not fail."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result
    return result


async def failing(client: Client, tool: str, **arguments: Any) -> str:
    """The text of a call that must fail."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error, result
    return "\n".join(texts(result))


async def test_every_tool_says_what_it_takes_and_what_it_returns(client: Client) -> None:
    tools = (await client.list_tools()).tools
    assert [tool.name for tool in tools] == NAMES
    for tool in tools:
        assert tool.description
        assert tool.title
        Draft202012Validator.check_schema(tool.input_schema)
        Draft202012Validator.check_schema(tool.output_schema)
        assert all("description" in member or "$ref" in member for member in tool.input_schema["properties"].values())


async def test_code_keeps_its_variables_and_returns_structured_output(client: Client) -> None:
    await use(client, "execute_code", code="x = 6")
    result = await use(client, "execute_code", code="print('six times seven')\nx * 7")
    assert texts(result) == ["six times seven\n42"]
    assert result.structured_content["stdout"] == "six times seven\n42"
    assert (result.structured_content["exit_code"], result.structured_content["kept_files"]) == (0, [])
    assert "NameError" in await failing(client, "execute_code", code="x", reset=True)


async def test_languages_share_the_workspace(client: Client) -> None:
    await use(client, "execute_code", language="javascript", code="require('fs').writeFileSync('n.txt', '7')")
    assert texts(await use(client, "execute_code", code="print(open('n.txt').read())")) == ["7"]


async def test_chart_is_a_picture(client: Client) -> None:
    result = await use(client, "execute_code", code=CHART)
    (picture,) = [block for block in result.content if isinstance(block, types.ImageContent)]
    assert picture.mime_type == "image/png"
    assert base64.b64decode(picture.data).startswith(PNG)


async def test_command_that_fails_tells_its_exit_code_and_both_streams(client: Client) -> None:
    result = await client.call_tool("execute_command", {"command": "echo out; echo err >&2; exit 3"})
    assert result.is_error
    assert texts(result) == ["out", "err"]
    assert [result.structured_content[name] for name in ("stdout", "stderr", "exit_code")] == ["out", "err", 3]


@pytest.mark.parametrize(("command", "said"), [("true", ["(no output)"]), ("exit 4", ["(no output)", "Exit code 4"])])
async def test_silent_command_says_something(client: Client, command: str, said: list[str]) -> None:
    assert texts(await client.call_tool("execute_command", {"command": command})) == said


async def test_task_is_waited_for_and_stopped(client: Client) -> None:
    short = await use(client, "start_command", command="sleep 0.5; echo done")
    ended = await use(client, "get_task", task_id=short.structured_content["task_id"], wait_seconds=30)
    assert (ended.structured_content["status"], ended.structured_content["stdout"]) == ("completed", "done")
    long = (await use(client, "start_command", command="echo begun; sleep 60")).structured_content["task_id"]
    assert (await use(client, "get_task", task_id=long)).structured_content["status"] == "working"
    assert (await use(client, "stop_task", task_id=long)).structured_content["status"] == "canceled"
    assert "COMPLETED" in await failing(client, "stop_task", task_id=short.structured_content["task_id"])
    assert "no-such-task" in await failing(client, "get_task", task_id="no-such-task")


async def test_files_come_back_as_what_they_are(client: Client) -> None:
    picture = base64.b64encode(PNG + bytes(20)).decode()
    files = [
        {"path": "notes/a.txt", "text": "grüße"},
        {"path": "raw.bin", "base64": base64.b64encode(b"\xff\x00").decode()},
        {"path": "p.png", "base64": picture},
    ]
    written = await use(client, "write_files", files=files)
    assert written.structured_content == {"written": ["notes/a.txt", "raw.bin", "p.png"]}
    result = await use(client, "read_files", paths=["notes/a.txt", "raw.bin", "p.png"])
    text, blob, image = result.content
    assert isinstance(text, types.EmbeddedResource)
    assert (text.resource.uri, text.resource.text) == ("file:///workspace/notes/a.txt", "grüße")
    assert isinstance(blob, types.EmbeddedResource)
    assert base64.b64decode(blob.resource.blob) == b"\xff\x00"
    assert isinstance(image, types.ImageContent)
    assert image.data == picture
    assert [file["is_whole"] for file in result.structured_content["files"]] == [True, True, True]
    listed = await use(client, "list_files")
    assert listed.structured_content["entries"] == [
        {"path": "notes", "kind": "directory", "size": None},
        {"path": "p.png", "kind": "file", "size": 28},
        {"path": "raw.bin", "kind": "file", "size": 2},
    ]
    assert "notes/" in texts(listed)[0]
    assert (await use(client, "remove_files", paths=["notes/", "p.png"])).structured_content == {"removed": ["notes/", "p.png"]}
    assert texts(await use(client, "list_files")) == ["raw.bin  2 bytes"]


async def test_missing_file_is_named_beside_those_that_are_there(client: Client) -> None:
    await use(client, "write_files", files=[{"path": "a.txt", "text": "here"}])
    result = await client.call_tool("read_files", {"paths": ["a.txt", "missing.txt"]})
    assert result.is_error
    assert texts(result) == ["missing.txt: no such file"]
    assert [file["path"] for file in result.structured_content["files"]] == ["a.txt"]


async def test_long_output_is_shortened_and_kept_whole_in_a_file(client: Client) -> None:
    result = await use(client, "execute_code", code="for n in range(5000): print('line', n)")
    (text,) = texts(result)
    (path,) = result.structured_content["kept_files"]
    assert len(text.encode()) < LIMIT + 300
    assert text == result.structured_content["stdout"]
    assert text.startswith("line 0\n")
    assert text.endswith("line 4999")
    assert f"the whole is in {path}" in text
    assert texts(await use(client, "execute_command", command=f"wc -l < {path}; sed -n 2501p {path}")) == ["4999\nline 2500"]


async def test_long_error_is_shortened_beside_its_output(client: Client) -> None:
    result = await client.call_tool("execute_code", {"code": "print('o' * 9000)\nraise ValueError('e' * 9000)"})
    stdout, stderr = texts(result)
    assert len((stdout + stderr).encode()) < LIMIT + 600
    assert len(result.structured_content["kept_files"]) == 2
    assert stderr.endswith("e")


@pytest.mark.parametrize(("size", "is_whole"), [(LIMIT - 1, True), (LIMIT, True), (LIMIT + 1, False)])
async def test_limit_on_what_is_shown_holds_to_the_byte(client: Client, size: int, is_whole: bool) -> None:
    result = await use(client, "execute_code", code=f"print('x' * {size})")
    assert (texts(result) == ["x" * size]) is is_whole
    assert bool(result.structured_content["kept_files"]) is not is_whole


async def test_output_that_no_file_can_keep_is_still_answered(client: Client) -> None:
    await use(client, "execute_command", command="head -c 1G /dev/zero > full || true")
    result = await use(client, "execute_code", code="print('x' * 100_000)")
    assert "could not be kept as a file" in texts(result)[0]
    assert result.structured_content["kept_files"] == []


async def test_long_file_shows_its_beginning_and_a_large_binary_one_nothing(client: Client) -> None:
    await use(client, "execute_code", code="open('l.txt', 'w').write('a' * 9000)\nopen('b.bin', 'wb').write(bytes([255]) * 9000)\nNone")
    result = await use(client, "read_files", paths=["l.txt", "b.bin"])
    shown, note = result.content
    assert isinstance(shown, types.EmbeddedResource)
    assert "bytes left out" in shown.resource.text
    assert len(shown.resource.text) < LIMIT + 300
    assert isinstance(note, types.TextContent)
    assert note.text.startswith("b.bin: 9000 bytes")
    assert [file["is_whole"] for file in result.structured_content["files"]] == [False, False]


async def test_many_pictures_are_kept_as_files(client: Client) -> None:
    code = "import matplotlib.pyplot as plt\nfor n in range(10):\n    plt.figure(figsize=(1, 1)); plt.plot([n]); plt.show(); plt.close()"
    result = await use(client, "execute_code", code=code)
    assert sum(isinstance(block, types.ImageContent) for block in result.content) == 8
    assert len(result.structured_content["kept_files"]) == 2
    (picture,) = (await use(client, "read_files", paths=result.structured_content["kept_files"][:1])).content
    assert isinstance(picture, types.ImageContent)


async def test_full_directory_lists_what_fits_and_counts_the_rest(client: Client) -> None:
    await use(client, "execute_command", command="mkdir d; touch d/file-{1..500}")
    listed = (await use(client, "list_files", directory="d")).structured_content
    assert 0 < len(listed["entries"]) < 500
    assert len(listed["entries"]) + listed["left_out"] == 500


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("execute_code", {}, "code: Field required"),
        ("execute_code", {"code": "1", "language": "cobol"}, "language"),
        ("execute_code", {"code": "1", "timeout": 3}, "timeout: Extra inputs are not permitted"),
        ("write_files", {"files": []}, "files"),
        ("write_files", {"files": [{"path": "a"}]}, "ValidationException: content[0] needs exactly one of text and blob"),
        ("write_files", {"files": [{"path": "a", "base64": "!"}]}, "is not base64"),
        ("read_files", {"paths": ["x" * 300]}, "ValidationException"),
        ("launch_rocket", {}, "there is no tool launch_rocket"),
    ],
)
async def test_mistakes_are_explained(client: Client, tool: str, arguments: dict[str, Any], said: str) -> None:
    assert said in await failing(client, tool, **arguments)


async def test_cancelling_interrupts_the_code_and_keeps_the_session(client: Client) -> None:
    await use(client, "execute_code", code="seen = 0")
    endless = "open('started', 'w').close()\nwhile True:\n    seen += 1"
    call = asyncio.create_task(client.call_tool("execute_code", {"code": endless}))
    await use(client, "execute_command", command="until [ -e started ]; do sleep 0.05; done")
    call.cancel()
    result = await use(client, "execute_code", code="print(type(seen).__name__)")
    assert texts(result) == ["int"]
