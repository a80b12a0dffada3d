"""`cellblock serve`."""

from __future__ import annotations

import errno
import importlib
import importlib.util
import sys
from collections.abc import Mapping

import click

from cellblock.machine.clock import MonotonicClock
from cellblock.machine.data_directory import prepare_data_directory
from cellblock.machine.listeners import Address
from cellblock.machine.service_manager import held_sockets, tell
from cellblock.machine.signals import StopSignals
from cellblock.nodes.local import LocalNode
from cellblock.observing import log_lines
from cellblock.observing.audit_log import LOG_DIRECTORY
from cellblock.observing.rotating_file import RotatingFile
from cellblock.runtime.builds import Runtime
from cellblock.server import Alone, Shape, serve_as
from cellblock.settings.table import Settings, host_environment
from cellblock.terminal import display
from cellblock.terminal.command_line import ALL_SETTINGS, fail, run, with_settings

FRONT_ENDS = {
    "manual": ("cellblock.cluster.front_end_server", "AsFrontEnd"),
    "ray": ("cellblock.cluster.ray_front_end", "AsRayFrontEnd"),
}


@click.command("serve")
@with_settings(*ALL_SETTINGS)
def command(settings: Settings) -> None:
    """Serve the API until SIGINT or SIGTERM; builds the runtime at the first start.

    Example: cellblock serve --port 8080 --max-sessions 50
    """
    if settings.cluster == "ray" and importlib.util.find_spec("ray") is None:
        fail("--cluster ray needs Ray: pip install 'cellblock[cluster]'")
    environment = host_environment()
    address = Address(
        host=settings.host,
        port=settings.port,
        is_tls=bool(settings.tls_certificate),
        unix_socket=settings.unix_socket,
        held=held_sockets(environment),
    )
    built = display.build_runtime(settings) if settings.cluster == "none" else None
    prepare_data_directory(settings.data_dir)
    path = settings.data_dir / LOG_DIRECTORY / log_lines.LOG_NAME
    try:
        file = RotatingFile(path, limit_bytes=settings.log_file_bytes)
    except OSError as error:
        fail(f"{path} cannot be written: {error.strerror}")
    writer = log_lines.set_up(settings.log_level, sys.stderr, file)
    try:
        run(_serve(settings, _shape(settings, built), address, environment))
    except OSError as error:
        other_port = "; --port takes another, and 0 a free one" if error.errno == errno.EADDRINUSE else ""
        fail(f"cannot listen on {address.url}{_beside(address)}: {error.strerror or error}{other_port}")
    finally:
        writer.close()
        file.close()


def _shape(settings: Settings, built: Runtime | None) -> Shape:
    """A front end's parts are loaded only where they are wanted."""
    if built is not None:
        return Alone(settings, LocalNode(settings, built))
    module, name = FRONT_ENDS[settings.cluster]
    shape: Shape = getattr(importlib.import_module(module), name)(settings, MonotonicClock())
    return shape


def _beside(address: Address) -> str:
    return f" and {address.unix_socket}" if address.unix_socket else ""


async def _serve(settings: Settings, shape: Shape, address: Address, environment: Mapping[str, str]) -> None:
    def say_ready(bound: Address) -> None:
        click.echo(f"cellblock is ready on {bound.url}")
        sys.stdout.flush()
        tell(environment, "READY")

    stop = StopSignals()
    with stop.caught():
        try:
            await serve_as(shape, settings, address, stop=stop, on_ready=say_ready)
        finally:
            tell(environment, "STOPPING")
