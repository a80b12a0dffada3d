"""Settings: where state and the runtime lie."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cellblock.settings.groups.entry import Group, place, setting

MODULES_FORM = r"([A-Za-z_]\w*(\.[A-Za-z_]\w*)*(,[A-Za-z_]\w*(\.[A-Za-z_]\w*)*)*)?"


@dataclass(frozen=True, kw_only=True)
class Places(Group):
    """Places and the runtime"""

    data_dir: Path = field(
        metadata=place(
            root="/var/lib/cellblock", user=".local/share/cellblock", text="state: interpreters, sessions, keys, the server's pid"
        )
    )
    cache_dir: Path = field(metadata=place(user=".cache/cellblock", text="what can be made again: the runtime that cells see"))
    runtime_python: str = setting("", "Python that the runtime is built from", default_help="a suitable one is looked for")
    preload: tuple[str, ...] = setting(
        ("numpy", "pandas", "matplotlib.pyplot"),
        "modules that the template imports before sessions are forked from it",
        form=MODULES_FORM,
        form_help="module names separated by commas",
    )
