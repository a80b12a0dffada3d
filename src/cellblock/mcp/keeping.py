"""Keeps what is too much for a model's context as files in the session's workspace."""

from __future__ import annotations

from dataclasses import dataclass
from mimetypes import guess_extension

from cellblock.errors import CellblockError
from cellblock.mcp.conversation import Conversation, SessionLost
from cellblock.model.requests import InputFile, ToolArguments
from cellblock.model.results import ImageBlock, Structured, ToolResult

DIRECTORY = "tool_outputs"
IMAGE_BYTES = 3 * 1024 * 1024  # in base64 below what the usual models take of one picture
IMAGES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Where the whole of a result is: a path in the workspace by what it holds; empty when all of it is shown."""

    paths: dict[str, str]
    problem: str = ""

    def rest_of(self, name: str) -> str:
        """Where the rest of a text is, in words for a model."""
        if path := self.paths.get(name):
            return f"the whole is in {path}, read parts of it with execute_command, for example: sed -n '1,200p' {path}"
        return self.problem or "print less to see it"


def is_shown(image: ImageBlock, index: int) -> bool:
    """Whether a picture goes into the result itself."""
    return len(image.data) <= IMAGE_BYTES and index < IMAGES


def images_of(result: ToolResult) -> list[ImageBlock]:
    """The pictures that code showed."""
    return [block for block in result.content if isinstance(block, ImageBlock)]


async def keep(result: ToolResult, conversation: Conversation, *, limit_bytes: int) -> Kept:
    """Write what will not be shown; a workspace that takes no more is a problem to be named, not a failure of the call."""
    files = dict(_texts(result.structured, limit_bytes)) if result.structured else {}
    files |= {
        f"image-{index + 1}{guess_extension(image.mime_type) or '.bin'}": image.data
        for index, image in enumerate(images_of(result))
        if not is_shown(image, index)
    }
    if not files:
        return Kept(paths={})
    number = conversation.next_number()
    paths = {name: f"{DIRECTORY}/{number:03}-{name}" for name in files}
    content = tuple(InputFile(path=paths[name], blob=data) for name, data in files.items())
    try:
        written = await conversation.use("writeFiles", ToolArguments(content=content))
    except (CellblockError, SessionLost) as error:
        return Kept(paths={}, problem=f"it could not be kept as a file: {error}")
    if written.is_error:
        return Kept(paths={}, problem="it could not be kept as a file, the workspace takes no more")
    return Kept(paths=paths)


def _texts(structured: Structured, limit_bytes: int) -> list[tuple[str, bytes]]:
    texts = {"stdout.txt": structured.stdout.encode("utf-8", "replace"), "stderr.txt": structured.stderr.encode("utf-8", "replace")}
    if sum(len(data) for data in texts.values()) <= limit_bytes:
        return []
    return [(name, data) for name, data in texts.items() if data]
