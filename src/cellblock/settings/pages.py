"""The table of settings as the documentation shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import Field, fields
from typing import Any, get_type_hints

from cellblock.settings.groups.entry import Group, rule_of, variable
from cellblock.settings.values import allowed, text_of

HEAD = """# Settings

A setting is written in a file (`memory_mb = 1024`), in the server's environment (`CELLBLOCK_MEMORY_MB=1024`) or as an option of
`cellblock serve` (`--memory-mb 1024`). An option wins over the environment, and the environment over the file. The file is in TOML: the
one that `--config` or `CELLBLOCK_CONFIG` names, else `/etc/cellblock/cellblock.toml` for root and `~/.config/cellblock/cellblock.toml` for
another user, when it is there. A value that is not allowed, or a name that is not in these tables, ends the start with a message that names
the line, variable or option. `cellblock settings` prints the values in force and where each comes from.

MB are 1024 × 1024 bytes, KB 1024 bytes. The column "guide" has the limit of AWS's guide where it names one.

This file is printed by `python -m cellblock.settings`.
"""


def markdown(groups: Sequence[type[Group]]) -> str:
    """The page, a table for each group that has settings."""
    return HEAD + "".join(_section(group) for group in groups if fields(group))


def _section(group: type[Group]) -> str:
    head = f"\n## {group.__doc__}\n\n| variable | default | allowed | guide | meaning |\n|---|---|---|---|---|\n"
    kinds = get_type_hints(group)
    return head + "".join(_row(item, kinds[item.name]) for item in fields(group))


def _row(item: Field[Any], kind: object) -> str:
    rule = rule_of(item)
    default = rule.default_help or f"`{text_of(item.default)}` {rule.unit}".rstrip()
    return f"| `{variable(item.name)}` | {default} | {allowed(item, kind)} | {rule.guide} | {rule.help} |\n"
