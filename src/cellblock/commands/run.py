"""`cellblock run`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from cellblock.model.languages import language_of
from cellblock.nodes.local import LocalNode
from cellblock.observing import log_lines
from cellblock.settings.table import Settings
from cellblock.terminal import display
from cellblock.terminal.command_line import run, with_settings
from cellblock.terminal.run_command import Job, run_job


@click.command("run")
@click.argument("script", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False)
@click.option("-c", "code", help="Code instead of a script.")
@click.option("--file", "files", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Upload a file.")
@click.option("--save", "patterns", multiple=True, help="Download the files that match, for example '*.csv'.")
@with_settings("cache_dir", "memory_mb", "cpus", "call_timeout_seconds")
def command(settings: Settings, script: Path | None, code: str | None, files: tuple[Path, ...], patterns: tuple[str, ...]) -> None:
    """Run one piece of code in a sandbox of its own; the exit status is the code's.

    The code is Python, or what the ending .js or .ts says. Images are written beside as figure-1.png and so on.

    Example: cellblock run script.py --file data.csv --save '*.png'
    """
    if (script is None) == (code is None):
        raise click.UsageError("give a script or -c CODE, one of them")
    text = code if code is not None else _text_of(script)
    language = language_of(script.name if script else "")
    job = Job(code=text, language=language, uploads=files, patterns=patterns, directory=Path.cwd())
    node = LocalNode(settings, display.build_runtime(settings))
    writer = log_lines.set_up("error", sys.stderr)
    try:
        status = run(run_job(job, node, settings))
    except KeyboardInterrupt:
        status = 130
    finally:
        writer.close()
    sys.exit(status)


def _text_of(script: Path | None) -> str:
    try:
        return script.read_text(encoding="utf-8") if script else ""
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{script} is not UTF-8") from error
