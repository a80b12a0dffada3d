"""Functions as tools of MCP clients: `@gateway.tool`, served over streamable HTTP to who has the token."""

from __future__ import annotations

import hmac
import json
import secrets
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeVar

import uvicorn
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.tools import Tool
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from cellblock.clients.server import ServerNotFound, find_server
from cellblock.http.protocol import BoundedHttp
from cellblock.machine.listeners import Address
from cellblock.wire.bearer import bearer_token

__all__ = ["Gateway"]

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])
Schema = Mapping[str, Any]


class Gateway:
    """Tools made of functions. `region` is for the functions' own use.

    The token is that of the access key in the environment or of the server that runs here, as for a server's `/mcp`;
    without either it is made for this process.
    """

    def __init__(self, region: str = "us-east-1", *, name: str = "gateway", token: str = "", origins: tuple[str, ...] = ()) -> None:
        self.region = region
        self.name = name
        self._given_token = token
        self._origins = origins
        self._tools: dict[str, Tool] = {}

    def tool(self, name: str | None = None, *, schema: Schema | None = None) -> Callable[[FunctionT], FunctionT]:
        """Make a function a tool: its parameters, their types and its docstring are what a model is told.

        `schema` says it in other words: its `description` and its `input_schema`, which has to fit the parameters (ValueError).
        """

        def register(function: FunctionT) -> FunctionT:
            tool = Tool.from_function(function, name=name)
            if schema is not None:
                tool.description = str(schema.get("description", tool.description))
                tool.parameters = _fitting(schema, tool)
            if tool.name in self._tools:
                raise ValueError(f"the gateway has a tool {tool.name} already")
            self._tools[tool.name] = tool
            return function

        return register

    @cached_property
    def token(self) -> str:
        """What clients send as `Authorization: Bearer …`."""
        if self._given_token:
            return self._given_token
        try:
            server = find_server()
        except ServerNotFound:
            return secrets.token_urlsafe(32)
        return bearer_token(server.key_id, server.secret)

    def app(self, host: str = "127.0.0.1") -> ASGIApp:
        """The ASGI application, with `/mcp`; it needs its server to run the lifespan."""
        server = MCPServer(self.name, tools=list(self._tools.values()), middleware=[self._without_nulls])
        return _Guarded(server.streamable_http_app(host=host), token=self.token, origins=self._origins)

    def serve(self, host: str = "127.0.0.1", port: int = 8090) -> None:
        """Serve until SIGINT or SIGTERM. Raises OSError for the address."""
        config = uvicorn.Config(self.app(host), http=BoundedHttp, ws="none", log_level="warning", server_header=False, proxy_headers=False)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.create_server((host, port), family=family) as listener:
            address = Address(host=host, port=listener.getsockname()[1])
            sys.stdout.write(f"gateway is ready on {address.url}/mcp\ntoken: {self.token}\n")
            sys.stdout.flush()
            uvicorn.Server(config).run(sockets=[listener])

    async def _without_nulls(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Models send null for what they leave out; `data: str = None` means the same."""
        params = dict(ctx.params or {})
        tool = self._tools.get(str(params.get("name")))
        arguments = params.get("arguments")
        if ctx.method == "tools/call" and tool is not None and isinstance(arguments, dict):
            required = tool.parameters.get("required", ())
            params["arguments"] = {name: value for name, value in arguments.items() if value is not None or name in required}
            ctx = replace(ctx, params=params)
        return await call_next(ctx)


class _Guarded:
    """Lets in who has the token, and no page of a browser but those that are named."""

    def __init__(self, app: ASGIApp, *, token: str, origins: tuple[str, ...]) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: one request, or the lifespan."""
        refusal = self._refusal(Headers(scope=scope)) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, headers: Headers) -> JSONResponse | None:
        if headers.get("origin", "") not in ("", *self._origins):
            return JSONResponse({"error": "this Origin may not use the gateway"}, status_code=403)
        given = headers.get("authorization", "").encode("latin-1", "replace")
        if hmac.compare_digest(given, self._expected):
            return None
        return JSONResponse({"error": "the gateway's bearer token is needed"}, status_code=401, headers={"WWW-Authenticate": "Bearer"})


def _fitting(schema: Schema, tool: Tool) -> dict[str, Any]:
    """The schema's input, when the function can take all that it allows. Raises ValueError."""
    wanted = schema.get("input_schema", schema.get("inputSchema"))
    if not isinstance(wanted, Mapping):
        raise ValueError(f"the schema of {tool.name} has no input_schema")
    unknown = set(wanted.get("properties", ())) - set(tool.parameters.get("properties", ()))
    missing = set(tool.parameters.get("required", ())) - set(wanted.get("required", ()))
    if schema.get("name", tool.name) != tool.name or unknown or missing:
        problems = [f"the function has no parameter {name}" for name in sorted(unknown)]
        problems += [f"the function needs {name}, which the schema does not require" for name in sorted(missing)]
        raise ValueError(f"the schema does not fit {tool.name}: {'; '.join(problems) or 'it has another name'}")
    copied: dict[str, Any] = json.loads(json.dumps(wanted))
    return copied
