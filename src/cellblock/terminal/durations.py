"""Lengths of time as people type them: 45s, 30m, 12h, 90d."""

from __future__ import annotations

import re
from datetime import timedelta

import click

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_FORM = re.compile(r"([0-9]{1,5})([smhd])")


def duration(context: click.Context, option: click.Parameter, text: str | None) -> timedelta | None:
    """click: the value of an option that is a length of time."""
    if text is None:
        return None
    found = _FORM.fullmatch(text)
    if found is None or not int(found[1]):
        raise click.BadParameter(f"{text!r} is no length of time; write it as 45s, 30m, 12h or 90d", context, option)
    return timedelta(seconds=int(found[1]) * SECONDS[found[2]])
