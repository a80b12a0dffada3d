"""Jupyter's kernels, alone, in containers and behind jupyter-kernel-gateway, on the same Python and libraries as cells have."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _boxes import Bundle, NotHere, Piped

from cellblock.runtime.layout import Runtime

NAME = "peer"
SECONDS = 60
LOCK = Path(__file__).with_name("peers.lock")
PLACE = Path(__file__).resolve().parents[1] / "build" / "peers"
NEEDED = ("ipykernel", "jupyter_client", "websockets")
# The runtime's own libraries come first, then what the kernel needs beside them.
_KERNEL = "import sys; sys.path.append({libraries!r}); from ipykernel.kernelapp import launch_new_instance; launch_new_instance()"
_LISTENS = " is available at "


def write_kernel(built: Runtime, directory: Path) -> Path:
    """The directory with the description of the kernel (jupyter_client's kernelspec); raises NotHere."""
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise NotHere(f"{', '.join(missing)} not installed beside cellblock")
    if built.base.short_version != ".".join(map(str, sys.version_info[:2])):
        raise NotHere(f"ipykernel is installed for Python {sys.version_info[0]}.{sys.version_info[1]}, cells have {built.base.version}")
    place = directory / "kernels" / NAME
    place.mkdir(parents=True, exist_ok=True)
    program = _KERNEL.format(libraries=sysconfig.get_path("purelib"))
    content = {
        "argv": [str(built.on_host(built.python)), "-c", program, "-f", "{connection_file}"],
        "display_name": NAME,
        "language": "python",
        "env": {"MPLCONFIGDIR": str(directory / "matplotlib"), "MPLBACKEND": "agg"},
    }
    (place / "kernel.json").write_text(json.dumps(content))
    return place.parent


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel and its blocking client."""

    manager: Any
    client: Any

    @property
    def pid(self) -> int:
        """Its process."""
        return int(self.manager.provisioner.pid)

    def run(self, code: str) -> str:
        """What the code prints."""
        return printed(self.client, code)

    def close(self) -> None:
        """Kill it."""
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


def printed(client: Any, code: str) -> str:
    """What the code prints, by Jupyter's own client."""
    found: list[str] = []

    def take(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream":
            found.append(message["content"]["text"])

    reply = client.execute_interactive(code, output_hook=take, timeout=SECONDS)
    if reply["content"]["status"] != "ok":
        raise RuntimeError(f"the kernel answered {reply['content']}")
    return "".join(found).rstrip("\n")


def kernels(built: Runtime, directory: Path) -> tuple[Callable[[], Kernel], Callable[[], list[int]]]:
    """A function that starts a kernel, and one that gives the processes of those that live. Raises NotHere."""
    specifications = write_kernel(built, directory)
    finder = importlib.import_module("jupyter_client.kernelspec").KernelSpecManager(kernel_dirs=[str(specifications)])
    manager_class = importlib.import_module("jupyter_client.manager").KernelManager
    begun: list[Kernel] = []

    def begin() -> Kernel:
        connection = directory / f"{uuid.uuid4().hex}.json"
        manager = manager_class(kernel_name=NAME, kernel_spec_manager=finder, connection_file=str(connection))
        manager.start_kernel(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        client = manager.client()
        client.start_channels()
        client.wait_for_ready(timeout=SECONDS)
        begun.append(Kernel(manager, client))
        return begun[-1]

    return begin, lambda: [one.pid for one in begun if one.manager.has_kernel]


@dataclass(frozen=True, slots=True)
class ContainedKernel:
    """A kernel in a container, by Unix sockets in a directory that both sides see."""

    container: Piped
    client: Any

    def run(self, code: str) -> str:
        """What the code prints."""
        return printed(self.client, code)

    def close(self) -> None:
        """End the container."""
        self.client.stop_channels()
        self.container.close()


def contained_kernels(built: Runtime, directory: Path, program: str) -> tuple[Callable[[], ContainedKernel], Callable[[], list[Piped]]]:
    """A function that starts a kernel in a container of this OCI runtime, and one that gives the containers. Raises NotHere."""
    write_kernel(built, directory)
    libraries, shared = sysconfig.get_path("purelib"), directory / "sockets"
    shared.mkdir()
    bundle = Bundle(built, directory / "contained", program=_KERNEL.format(libraries=libraries), more=libraries, shared=str(shared))
    client_module = importlib.import_module("jupyter_client.blocking")
    write = importlib.import_module("jupyter_client.connect").write_connection_file
    begun: list[Piped] = []

    def begin() -> ContainedKernel:
        place = shared / uuid.uuid4().hex[:8]
        path, _ = write(f"{place}.json", transport="ipc", ip=str(place), key=uuid.uuid4().hex.encode())
        begun.append(bundle.container(program, "-f", path))
        client = client_module.BlockingKernelClient(connection_file=path)
        client.load_connection_file()
        client.start_channels()
        client.wait_for_ready(timeout=SECONDS)
        return ContainedKernel(begun[-1], client)

    return begin, lambda: begun


@dataclass(frozen=True, slots=True)
class RemoteKernel:
    """A kernel of a gateway, by its websocket (Jupyter's messaging protocol in JSON)."""

    url: str
    id: str
    channel: Any

    def run(self, code: str) -> str:
        """What the code prints."""
        number = uuid.uuid4().hex
        header = {"msg_id": number, "msg_type": "execute_request", "session": self.id, "username": "", "version": "5.3"}
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell", "buffers": []}
        self.channel.send(json.dumps(message))
        printed: list[str] = []
        missing = {"reply", "idle"}
        while missing:
            told = json.loads(self.channel.recv(timeout=SECONDS))
            if told["parent_header"].get("msg_id") != number:
                continue
            kind, said = told["header"]["msg_type"], told["content"]
            if kind == "stream":
                printed.append(said["text"])
            elif kind == "execute_reply":
                missing.discard("reply")
            elif kind == "status" and said["execution_state"] == "idle":
                missing.discard("idle")
        return "".join(printed).rstrip("\n")

    def close(self) -> None:
        """Tell the gateway to end it."""
        self.channel.close()
        ask(f"{self.url}/api/kernels/{self.id}", method="DELETE")


@contextmanager
def gateway(built: Runtime, directory: Path) -> Iterator[tuple[Callable[[], RemoteKernel], int]]:
    """A function that starts a kernel of a new gateway, and the gateway's process. Raises NotHere."""
    write_kernel(built, directory)
    connect = importlib.import_module("websockets.sync.client").connect
    command = [install() / "bin" / "jupyter-kernelgateway", f"--KernelGatewayApp.port={free_port()}"]
    environment = {**os.environ, "JUPYTER_PATH": str(directory), "JUPYTER_RUNTIME_DIR": str(directory)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            url = wait_for_url(process)

            def begin() -> RemoteKernel:
                made = ask(f"{url}/api/kernels", method="POST", body=json.dumps({"name": NAME}).encode())["id"]
                where = f"ws{url.removeprefix('http')}/api/kernels/{made}/channels"
                return RemoteKernel(url, made, connect(where, compression=None, proxy=None, max_size=None))

            yield begin, process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(SECONDS)


def install() -> Path:
    """The environment of its own that the gateway is installed in, once; raises NotHere without a package registry."""
    done = PLACE / LOCK.name
    if done.exists() and done.read_bytes() == LOCK.read_bytes():
        return PLACE
    uv = Path(sys.executable).with_name("uv")
    for command in (
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, PLACE],
        [uv, "pip", "install", "--quiet", "--require-hashes", "--python", PLACE / "bin" / "python", "--requirement", LOCK],
    ):
        made = subprocess.run(command, capture_output=True, text=True)
        if made.returncode != 0:
            raise NotHere(f"it could not be installed into {PLACE}: {(made.stderr.strip().splitlines() or ['no reason told'])[-1][:200]}")
    done.write_bytes(LOCK.read_bytes())
    return PLACE


def free_port() -> int:
    """The gateway takes another one by itself when this is taken meanwhile, and says which."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_for_url(process: subprocess.Popen[str]) -> str:
    """Where the gateway says it listens; its later words are read and dropped, so that it never waits for a reader."""
    assert process.stderr is not None
    lines = process.stderr
    for line in lines:
        if _LISTENS in line:
            threading.Thread(target=lambda: [None for _ in lines], daemon=True).start()
            return line.partition(_LISTENS)[2].strip().rstrip("/")
    raise NotHere("jupyter-kernel-gateway ended before it listened")


def ask(url: str, *, method: str, body: bytes | None = None) -> dict[str, Any]:
    """One request to the gateway."""
    with urllib.request.urlopen(urllib.request.Request(url, data=body, method=method), timeout=SECONDS) as answer:
        content = answer.read()
    return dict(json.loads(content)) if content else {}
