"""botocore as the other side of the wire: its models, what it sends and how it reads answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest, HeadersDict, create_request_object, prepare_request_dict
from botocore.credentials import Credentials
from botocore.model import OperationModel, ServiceModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from botocore.session import Session

from cellblock.model.requests import OperationRequest
from cellblock.wire.encoding import Response
from cellblock.wire.head import Head, read_head
from cellblock.wire.operations import match
from cellblock.wire.validation import parse

SERVICES = ("bedrock-agentcore", "bedrock-agentcore-control")
KEY_ID = "AKIAQ2W3E4R5T6Z7U2I3"
SECRET = "s/ecret+s/ecret+s/ecret+s/ecret+s/ecret+"
ENDPOINT = "http://127.0.0.1:8080"


@cache
def service_models() -> tuple[ServiceModel, ...]:
    session = Session()
    return tuple(session.get_service_model(name) for name in SERVICES)


def operation_model(name: str) -> OperationModel:
    owner = next(model for model in service_models() if name in model.operation_names)
    return owner.operation_model(name)


def serialized(name: str, parameters: dict[str, Any], headers: Mapping[str, str] | None = None) -> AWSRequest:
    """The request as botocore makes it, not signed yet. Nothing is validated, so that bad values travel too."""
    model = operation_model(name)
    request = create_serializer("rest-json", include_validation=False).serialize_to_request(parameters, model)
    prepare_request_dict(request, endpoint_url=ENDPOINT)
    made = create_request_object(request)
    for header, value in (headers or {}).items():
        made.headers[header] = value
    return made


def signed(request: AWSRequest, *, key_id: str = KEY_ID, secret: str = SECRET, region: str = "us-west-2", service: str = "") -> AWSRequest:
    SigV4Auth(Credentials(key_id, secret), service or "bedrock-agentcore", region).add_auth(request)
    return request


def head_of(request: AWSRequest) -> Head:
    """What an HTTP server hands over of it."""
    prepared = request.prepare()
    url = urlsplit(prepared.url)
    headers = {name: value.encode() if isinstance(value, str) else value for name, value in prepared.headers.items()}
    pairs = [(name.encode(), value) for name, value in headers.items()]
    return read_head(prepared.method, url.path.encode(), url.query.encode(), [(b"Host", url.netloc.encode()), *pairs])


def body_of(request: AWSRequest) -> bytes:
    body = request.prepare().body
    return body.encode() if isinstance(body, str) else bytes(body or b"")


def received(name: str, parameters: dict[str, Any], headers: Mapping[str, str] | None = None) -> OperationRequest:
    """What the service makes of a call of a botocore client."""
    request = serialized(name, parameters, headers)
    head = head_of(request)
    return parse(match(head), head, body_of(request))


def parsed(name: str, response: Response) -> dict[str, Any]:
    """What a botocore client makes of an answer."""
    answer = {"status_code": response.status, "headers": HeadersDict(response.headers), "body": response.body, "context": {}}
    parser, operation = create_parser("rest-json"), operation_model(name)
    parsed = parser.parse(answer, operation.output_shape)
    error_shape = operation.service_model.shape_for_error_code(parsed.get("Error", {}).get("Code", ""))
    return parsed | (parser.parse(answer, error_shape) if error_shape else {})


def streamed(headers: Mapping[str, str], *messages: bytes) -> dict[str, Any]:
    """What a botocore client makes of the answer to InvokeCodeInterpreter; its stream raises EventStreamError."""
    answer = {
        "status_code": 200,
        "headers": HeadersDict(headers),
        "body": RawStream(b"".join(messages)),
        "context": {"operation_name": "InvokeCodeInterpreter"},
    }
    return create_parser("rest-json").parse(answer, operation_model("InvokeCodeInterpreter").output_shape)


class RawStream:
    """A body that arrives in pieces."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self) -> Iterator[bytes]:
        for start in range(0, len(self._body), 1000):
            yield self._body[start : start + 1000]

    def close(self) -> None:
        return


def utc_now() -> datetime:
    return datetime.now(UTC)
