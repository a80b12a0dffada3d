"""Images in a terminal: shown where it can, and always saved beside."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from mimetypes import guess_extension
from pathlib import Path
from typing import Literal

from cellblock.clients.results import Image

Protocol = Literal["iterm2", "kitty", "none"]

PNG = b"\x89PNG\r\n\x1a\n"
SHOWN_BYTES = 8 * 1024 * 1024  # a terminal that takes more in one go is rare
_KITTY_PIECE = 4096


def protocol_of(environment: Mapping[str, str], *, is_terminal: bool) -> Protocol:
    """How this terminal shows images. Inside tmux and screen none arrives."""
    if not is_terminal or environment.get("TMUX") or environment.get("TERM", "").startswith("screen"):
        return "none"
    if environment.get("KITTY_WINDOW_ID") or environment.get("TERM", "") in ("xterm-kitty", "xterm-ghostty"):
        return "kitty"
    if environment.get("TERM_PROGRAM") in ("iTerm.app", "WezTerm", "vscode") or environment.get("LC_TERMINAL") == "iTerm2":
        return "iterm2"
    return "none"


def shown(image: Image, protocol: Protocol) -> str:
    """What makes the terminal show it; nothing when it cannot. The bytes are a session's: only whole PNGs are passed on, in base64."""
    if protocol == "none" or not image.data.startswith(PNG) or len(image.data) > SHOWN_BYTES:
        return ""
    text = base64.b64encode(image.data).decode()
    if protocol == "iterm2":
        return f"\x1b]1337;File=inline=1;size={len(image.data)};preserveAspectRatio=1:{text}\x07\n"
    pieces = [text[start : start + _KITTY_PIECE] for start in range(0, len(text), _KITTY_PIECE)]
    heads = ["a=T,f=100,"] + [""] * (len(pieces) - 1)
    more = [1] * (len(pieces) - 1) + [0]
    return "".join(f"\x1b_G{head}m={is_more};{piece}\x1b\\" for head, is_more, piece in zip(heads, more, pieces, strict=True)) + "\n"


def save(image: Image, directory: Path) -> Path:
    """Write it under a name that is free."""
    ending = guess_extension(image.mime_type) or ".bin"
    number = 1
    while True:
        path = directory / f"figure-{number}{ending}"
        try:
            with path.open("xb") as file:
                file.write(image.data)
            return path
        except FileExistsError:
            number += 1
