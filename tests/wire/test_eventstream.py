"""Results arrive whole in one event that botocore accepts, in the recorded order of keys."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer, EventStreamMessage

from cellblock.errors import Internal
from cellblock.model.results import FileBlock, ImageBlock, LinkBlock, Structured, TextBlock, ToolResult
from cellblock.wire.encoding import blob_size, result_into, stream_headers, text_size
from cellblock.wire.eventstream import PAYLOAD_MAX_BYTES, result_event
from wire.botocore_judge import streamed

PIECE_BYTES = 3 * 256 * 1024  # of base64 that is made at once


def as_json(result: ToolResult) -> bytes:
    buffer = bytearray()
    result_into(buffer, result)
    return bytes(buffer)


EMPTY_BYTES = len(as_json(ToolResult(content=(TextBlock(""),))))
CODE = ToolResult(
    content=(TextBlock("Hello World!!!"),),
    structured=Structured(stdout="Hello World!!!", stderr="", exit_code=0, execution_time=0.0148),
)


def messages(data: bytes) -> list[EventStreamMessage]:
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return list(buffer)


def received(result: ToolResult) -> dict[str, Any]:
    (event,) = streamed(stream_headers("S", result, "5f2c"), result_event(result))["stream"]
    return event["result"]


def test_headers_of_the_event() -> None:
    (message,) = messages(result_event(CODE))
    assert message.headers == {":event-type": "result", ":content-type": "application/json", ":message-type": "event"}


def test_result_of_code_is_byte_for_byte_the_recorded_one() -> None:
    (message,) = messages(result_event(CODE))
    assert message.payload == (
        b'{"content":[{"type":"text","text":"Hello World!!!"}],'
        b'"structuredContent":{"stdout":"Hello World!!!","stderr":"","exitCode":0,"executionTime":0.0148},"isError":false}'
    )


def test_started_task_has_its_keys_in_the_recorded_order() -> None:
    task = Structured(stdout="", stderr="", task_id="a-b", task_status="submitted")
    (message,) = messages(result_event(ToolResult(content=(), structured=task)))
    assert b'"structuredContent":{"taskId":"a-b","taskStatus":"submitted","stdout":"","stderr":""},"isError":false' in message.payload


def test_working_task_has_its_keys_in_the_recorded_order() -> None:
    task = Structured(stdout="so far", stderr="", task_status="working")
    (message,) = messages(result_event(ToolResult(content=(), structured=task)))
    assert b'"structuredContent":{"taskStatus":"working","stdout":"so far","stderr":""}' in message.payload


def test_failure_of_a_tool_has_no_structured_content() -> None:
    (message,) = messages(result_event(ToolResult(content=(TextBlock("no such file"),), is_error=True)))
    assert list(json.loads(message.payload)) == ["content", "isError"]


def test_text_and_structured_content_reach_the_client() -> None:
    assert received(CODE) == {
        "content": [{"type": "text", "text": "Hello World!!!"}],
        "structuredContent": {"stdout": "Hello World!!!", "stderr": "", "exitCode": 0, "executionTime": 0.0148},
        "isError": False,
    }


def test_images_reach_the_client_as_bytes() -> None:
    result = received(ToolResult(content=(TextBlock(""), ImageBlock(data=b"\x89PNG\x00", mime_type="image/png"))))
    assert result["content"][1] == {"type": "image", "data": b"\x89PNG\x00", "mimeType": "image/png"}


def test_files_reach_the_client_exactly() -> None:
    text = FileBlock(uri="file:///sub/ä b.txt", mime_type="text/plain", content="☃\r\n\x00\u2028")
    blob = FileBlock(uri="file:///x", mime_type=None, content=bytes(range(256)))
    first, second = received(ToolResult(content=(text, blob)))["content"]
    assert first == {
        "type": "resource",
        "resource": {"type": "text", "uri": "file:///sub/ä b.txt", "mimeType": "text/plain", "text": "☃\r\n\x00\u2028"},
    }
    assert second == {"type": "resource", "resource": {"type": "blob", "uri": "file:///x", "blob": bytes(range(256))}}


def test_links_reach_the_client_with_the_size_of_files() -> None:
    file = LinkBlock(uri="file:///data.csv", name="data.csv", description="File", mime_type="text/csv", size=0)
    directory = LinkBlock(uri="file:///sub", name="sub", description="Directory")
    assert received(ToolResult(content=(file, directory)))["content"] == [
        {"type": "resource_link", "mimeType": "text/csv", "uri": "file:///data.csv", "name": "data.csv", "description": "File", "size": 0},
        {"type": "resource_link", "uri": "file:///sub", "name": "sub", "description": "Directory"},
    ]


def test_session_and_task_travel_in_headers() -> None:
    started = ToolResult(content=(), structured=Structured(stdout="", stderr="", task_id="a-b", task_status="submitted"))
    headers = stream_headers("S", started, "5f2c")
    assert streamed(headers, result_event(started))["sessionId"] == "S"
    assert headers["x-amzn-code-interpreter-task-id"] == "a-b"
    assert headers["Content-Type"] == "application/vnd.amazon.eventstream"
    assert headers["x-amzn-RequestId"] == "5f2c"


def test_other_results_have_no_task_header() -> None:
    assert "x-amzn-code-interpreter-task-id" not in stream_headers("S", CODE, "5f2c")


def test_largest_event_is_accepted_by_botocore() -> None:
    result = ToolResult(content=(TextBlock("x" * (PAYLOAD_MAX_BYTES - EMPTY_BYTES)),))
    (message,) = messages(result_event(result))
    assert len(message.payload) == PAYLOAD_MAX_BYTES


def test_one_byte_more_is_refused() -> None:
    result = ToolResult(content=(TextBlock("x" * (PAYLOAD_MAX_BYTES - EMPTY_BYTES + 1)),))
    with pytest.raises(Internal, match="25165825 bytes"):
        result_event(result)


@pytest.mark.parametrize("text", ["", "plain", '"quoted"\\', "\n\r\t\b\f", "\x00\x1f\x7f", "äö☃", "\U0001f600", "\u2028</script>"])
def test_size_of_a_text_is_known_before_it_is_sent(text: str) -> None:
    extra = len(as_json(ToolResult(content=(TextBlock(text),)))) - EMPTY_BYTES
    assert text_size(text) == extra + 2


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 100])
def test_size_of_a_blob_is_known_before_it_is_sent(size: int) -> None:
    empty = len(as_json(ToolResult(content=(FileBlock(uri="", mime_type=None, content=b""),))))
    assert blob_size(bytes(size)) == len(as_json(ToolResult(content=(FileBlock(uri="", mime_type=None, content=bytes(size)),)))) - empty + 2


@pytest.mark.parametrize("size", [PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES + 2])
def test_blob_made_in_pieces_is_one(size: int) -> None:
    content = os.urandom(size)
    (block,) = received(ToolResult(content=(FileBlock(uri="file:///a", mime_type=None, content=bytearray(content)),)))["content"]
    assert block["resource"]["blob"] == content


def test_blobs_find_their_places_among_texts_with_the_placeholders_character() -> None:
    blocks = (TextBlock("\0"), ImageBlock(data=b"one", mime_type="image/png"), TextBlock("\\u0000\0\0"))
    found = received(ToolResult(content=(*blocks, FileBlock(uri="file:///\0", mime_type=None, content=b"\xfftwo"))))["content"]
    assert [found[0]["text"], found[1]["data"], found[2]["text"]] == ["\0", b"one", "\\u0000\0\0"]
    assert found[3]["resource"]["blob"] == b"\xfftwo"
