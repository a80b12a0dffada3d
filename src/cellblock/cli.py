"""The command line: serve, env, runtime, run, doctor."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from collections.abc import Callable, Coroutine
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import click
import uvloop

from cellblock import display, doctor, log_lines, runtime
from cellblock.aws_models import write_models
from cellblock.data_directory import DataDirectoryError
from cellblock.endpoint import NoServer, exports, url
from cellblock.errors import HostNotReady
from cellblock.languages import language_of
from cellblock.nodes import LocalNode
from cellblock.run_command import Job, JobFailed, run_job
from cellblock.sandbox.policy import default_policy
from cellblock.server import Address, StopSignals, serve
from cellblock.settings import Settings, SettingsError, load

ResultT = TypeVar("ResultT")
EXPECTED = (SettingsError, DataDirectoryError, NoServer, JobFailed)

_data_dir_option = click.option(
    "--data-dir", type=click.Path(path_type=Path, file_okay=False), help="State of the server.  [default: setting CELLBLOCK_DATA_DIR]"
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("cellblock"), prog_name="cellblock", message="%(prog)s %(version)s")
def commands() -> None:
    """A code interpreter for AI agents on your own machine, behind the Amazon Bedrock AgentCore API."""


def main() -> None:
    """The `cellblock` command: what a user can mend is told in one line, without a traceback."""
    try:
        commands()
    except HostNotReady as error:
        display.fail(f"{error.message}\n`cellblock doctor` says what this machine lacks")
    except EXPECTED as error:
        display.fail(str(error))


@commands.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="Port; 0 takes a free one.")
@_data_dir_option
def serve_command(host: str, port: int, data_dir: Path | None) -> None:
    """Serve the API until SIGINT or SIGTERM; builds the runtime at the first start."""
    settings = _settings(data_dir)
    built = display.build_runtime(settings)
    writer = log_lines.set_up(settings.log_level, sys.stderr)
    try:
        _run(_serve(settings, LocalNode(settings, built), Address(host=host, port=port)))
    except OSError as error:
        display.fail(f"cannot listen on {url(host, port)}: {error.strerror or error}")
    finally:
        writer.close()


async def _serve(settings: Settings, node: LocalNode, address: Address) -> None:
    stop = StopSignals()
    with stop.caught():
        await serve(settings, node, address, stop=stop, on_ready=_say_ready)


def _say_ready(bound: Address) -> None:
    click.echo(f"cellblock is ready on {url(bound.host, bound.port)}")
    sys.stdout.flush()


@commands.command("env")
@_data_dir_option
def env_command(data_dir: Path | None) -> None:
    """Print what a client needs: eval "$(cellblock env)"."""
    settings = _settings(data_dir)
    models = settings.cache_dir / "aws-models"
    lines = exports(settings.data_dir, region=settings.region, models=models)
    try:
        write_models(models)
    except OSError as error:
        display.fail(f"cannot write to {models}: {error.strerror}; set CELLBLOCK_CACHE_DIR to a directory of yours")
    click.echo(lines, nl=False)


@commands.group("runtime")
def runtime_commands() -> None:
    """The Python, Node and libraries that sessions see."""


@runtime_commands.command("build")
def runtime_build() -> None:
    """Build the runtime, when it is not there."""
    built = display.build_runtime(_settings(None))
    click.echo(f"the runtime is ready: {built.path}")


@runtime_commands.command("show")
def runtime_show() -> None:
    """List what sessions find installed."""
    built = runtime.find(_settings(None))
    if built is None:
        display.fail("the runtime is not built; build it with: cellblock runtime build")
    click.echo(str(built.path))
    display.show_packages(runtime.versions(built))


@commands.command("run")
@click.argument("script", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False)
@click.option("-c", "code", help="Code instead of a script.")
@click.option("--file", "files", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Upload a file.")
@click.option("--save", "patterns", multiple=True, help="Download the files that match, for example '*.csv'.")
def run_command(script: Path | None, code: str | None, files: tuple[Path, ...], patterns: tuple[str, ...]) -> None:
    """Run Python, or a .js or .ts script, in a sandbox of its own; the exit status is the code's.

    Images are written beside as figure-1.png and so on.
    """
    if (script is None) == (code is None):
        raise click.UsageError("give a script or -c CODE, one of them")
    text = code if code is not None else _text_of(script)
    language = language_of(script.name if script else "")
    job = Job(code=text, language=language, uploads=files, patterns=patterns, directory=Path.cwd())
    settings = _settings(None)
    node = LocalNode(settings, display.build_runtime(settings))
    writer = log_lines.set_up("error", sys.stderr)
    try:
        status = _run(run_job(job, node, settings))
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


@commands.command("doctor")
@click.option("--policy", is_flag=True, help="Print the confinement of cells instead.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor_command(policy: bool, as_json: bool) -> None:
    """Check what cells need of this machine; exit status 1 when they cannot run."""
    settings = _settings(None)
    if policy:
        click.echo(_policy_text(settings))
        return
    findings = list(doctor.examine(settings))
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=2))
    else:
        display.show_findings(findings)
    sys.exit(any(finding.is_fatal for finding in findings))


def _policy_text(settings: Settings) -> str:
    built = runtime.find(settings)
    place = built.path if built else settings.cache_dir / "runtimes"
    prefix = str(built.base.prefix) if built else sys.base_prefix
    return default_policy(runtime=place, code=settings.cache_dir / "cell", base_prefix=prefix).describe()


def _settings(data_dir: Path | None) -> Settings:
    settings = load()
    return settings if data_dir is None else dataclasses.replace(settings, data_dir=data_dir.absolute())


def _run(work: Coroutine[Any, Any, ResultT]) -> ResultT:
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(work)
