"""The commands' side of the operator's socket."""

from __future__ import annotations

import http.client
import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cellblock.errors import CommandFailed
from cellblock.machine.endpoint import OPERATOR_SOCKET_NAME, NoServer
from cellblock.machine.listeners import connect_unix

ANSWER_SECONDS = 30.0


class OperatorRefused(CommandFailed):
    """The server does not do it, and says why."""


@dataclass(frozen=True, slots=True)
class OperatorClient:
    """Asks the server of a data directory. Every method raises NoServer and OperatorRefused."""

    data_dir: Path

    def server(self) -> dict[str, Any]:
        """The server and its live sessions."""
        return self._ask("GET", "/server")

    def stop(self, session_id: str) -> dict[str, Any]:
        """End a session and wait until nothing of it is left."""
        return self._ask("POST", f"/sessions/{session_id}/stop")

    def _ask(self, method: str, path: str) -> dict[str, Any]:
        connection = _Connection(self.data_dir / OPERATOR_SOCKET_NAME)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            found: dict[str, Any] = json.loads(answer.read())
        except PermissionError as error:
            raise OperatorRefused(f"{self.data_dir} belongs to another user; ask as that user or as root") from error
        except (OSError, http.client.HTTPException) as error:
            raise NoServer(self.data_dir) from error
        finally:
            connection.close()
        if answer.status != 200:
            raise OperatorRefused(str(found["message"]))
        return found


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=ANSWER_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock: socket.socket = connect_unix(self._path, ANSWER_SECONDS)
