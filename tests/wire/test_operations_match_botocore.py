"""The table of operations is botocore's service model, but for the differences listed here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from botocore import model as botocore_model

from cellblock import errors
from cellblock.wire.operations import OPERATIONS, Operation
from cellblock.wire.shapes import Blob, Boolean, Double, Integer, List, Map, Member, Shape, Structure, Text, Timestamp
from cellblock.wire.tool_shapes import ERROR_SHAPES
from wire.botocore_judge import operation_model, service_models

DATA_PLANE = ("StartCodeInterpreterSession", "StopCodeInterpreterSession", "GetCodeInterpreterSession", "ListCodeInterpreterSessions")

# Each is wider than the API, but for the identifier in the data plane's paths, which the API leaves open.
HYPHENS = {
    "CreateCodeInterpreter.input.name: pattern",
    "CreateCodeInterpreter.output.codeInterpreterArn: pattern",
    "CreateCodeInterpreter.output.codeInterpreterId: pattern",
    "DeleteCodeInterpreter.input.codeInterpreterId: pattern",
    "DeleteCodeInterpreter.output.codeInterpreterId: pattern",
    "GetCodeInterpreter.input.codeInterpreterId: pattern",
    "GetCodeInterpreter.output.codeInterpreterArn: pattern",
    "GetCodeInterpreter.output.codeInterpreterId: pattern",
    "GetCodeInterpreter.output.name: pattern",
    "GetCodeInterpreterSession.input.sessionId: pattern",
    "GetCodeInterpreterSession.output.sessionId: pattern",
    "InvokeCodeInterpreter.input.sessionId: pattern",
    "InvokeCodeInterpreter.output.sessionId: pattern",
    "ListCodeInterpreterSessions.output.items[].sessionId: pattern",
    "ListCodeInterpreters.output.codeInterpreterSummaries[].codeInterpreterArn: pattern",
    "ListCodeInterpreters.output.codeInterpreterSummaries[].codeInterpreterId: pattern",
    "ListCodeInterpreters.output.codeInterpreterSummaries[].name: pattern",
    "StartCodeInterpreterSession.output.sessionId: pattern",
    "StopCodeInterpreterSession.input.sessionId: pattern",
    "StopCodeInterpreterSession.output.sessionId: pattern",
}
PLAIN_IDENTIFIERS = {f"{name}.input.codeInterpreterIdentifier: pattern" for name in (*DATA_PLANE, "InvokeCodeInterpreter")}
MEMBERS = {
    "StartCodeInterpreterSession.input: members here only: description",
    "InvokeCodeInterpreter.input: members here only: invocationId",
    "InvokeCodeInterpreter.output: members here only: taskId",
    "InvokeCodeInterpreter.input.sessionId: required",
}

KINDS: dict[type[object], set[str]] = {
    Text: {"string"},
    Integer: {"integer", "long"},
    Boolean: {"boolean"},
    Double: {"double"},
    Timestamp: {"timestamp"},
    Blob: {"blob"},
    List: {"list"},
    Map: {"map"},
    Structure: {"structure"},
}
LOCATIONS = {"uri": "uri", "querystring": "query", "header": "header", None: "body"}


def differences(ours: Shape, theirs: botocore_model.Shape, where: str) -> Iterator[str]:
    if theirs.type_name not in KINDS[type(ours)]:
        yield f"{where}: type"
        return
    limits = theirs.metadata
    if isinstance(ours, Structure):
        yield from structure_differences(ours, theirs, where)
    if isinstance(ours, List):
        yield from differences(ours.item, theirs.member, f"{where}[]")
    if isinstance(ours, Map):
        yield from differences(ours.key, theirs.key, f"{where}.key")
        yield from differences(ours.value, theirs.value, f"{where}.value")
    if isinstance(ours, Text) and ours.enum != tuple(theirs.enum):
        yield f"{where}: enum"
    if isinstance(ours, Text) and ours.pattern != limits.get("pattern"):
        yield f"{where}: pattern"
    if isinstance(ours, Text | Integer | List) and (ours.min or 0) != limits.get("min", 0):
        yield f"{where}: min"
    if isinstance(ours, Text | Integer | List | Map | Blob) and ours.max != limits.get("max"):
        yield f"{where}: max"
    if isinstance(ours, Timestamp) and theirs.serialization.get("timestampFormat") != "iso8601":
        yield f"{where}: timestamp format"


def structure_differences(ours: Structure, theirs: botocore_model.StructureShape, where: str) -> Iterator[str]:
    if ours.union != theirs.is_tagged_union:
        yield f"{where}: union"
    if ours.event_stream != theirs.serialization.get("eventstream", False):
        yield f"{where}: event stream"
    if only_here := ours.by_name.keys() - theirs.members.keys():
        yield f"{where}: members here only: {', '.join(sorted(only_here))}"
    if only_there := theirs.members.keys() - ours.by_name.keys():
        yield f"{where}: members there only: {', '.join(sorted(only_there))}"
    for member in ours.members:
        if member.name in theirs.members:
            yield from member_differences(member, theirs, f"{where}.{member.name}")


def member_differences(ours: Member, owner: botocore_model.StructureShape, where: str) -> Iterator[str]:
    theirs = owner.members[ours.name]
    if ours.required != (ours.name in owner.required_members):
        yield f"{where}: required"
    if ours.location != LOCATIONS[theirs.serialization.get("location")]:
        yield f"{where}: location"
    if ours.key != theirs.serialization.get("name", ours.name):
        yield f"{where}: name on the wire"
    yield from differences(ours.shape, theirs, where)


def operation_differences(operation: Operation) -> Iterator[str]:
    theirs = operation_model(operation.name)
    http = theirs.http
    if (operation.method, operation.path, operation.status) != (http["method"], http["requestUri"], http["responseCode"]):
        yield f"{operation.name}: method, path or status"
    yield from differences(operation.input, theirs.input_shape, f"{operation.name}.input")
    yield from differences(operation.output, theirs.output_shape, f"{operation.name}.output")


def test_operations_are_the_models_but_for_the_listed_differences() -> None:
    found = {difference for operation in OPERATIONS for difference in operation_differences(operation)}
    assert found == HYPHENS | PLAIN_IDENTIFIERS | MEMBERS


def test_all_code_interpreter_operations_of_both_models_are_there() -> None:
    named = {name for model in service_models() for name in model.operation_names if "CodeInterpreter" in name}
    assert {operation.name for operation in OPERATIONS} == named


@pytest.mark.parametrize("code", ERROR_SHAPES)
def test_error_shapes_are_the_models(code: str) -> None:
    for model in service_models():
        if code in model.shape_names:
            assert not list(differences(ERROR_SHAPES[code], model.shape_for(code), code))


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_every_modelled_error_has_a_shape_here(operation: Operation) -> None:
    assert {shape.name for shape in operation_model(operation.name).error_shapes} <= ERROR_SHAPES.keys()


def error_classes(base: type[errors.CellblockError] = errors.CellblockError) -> Iterator[type[errors.CellblockError]]:
    yield base
    for subclass in base.__subclasses__():
        yield from error_classes(subclass)


@pytest.mark.parametrize("error_class", list(dict.fromkeys(error_classes())), ids=lambda error_class: error_class.__name__)
def test_status_of_each_error_is_the_models(error_class: type[errors.CellblockError]) -> None:
    modelled = {shape.name: shape.metadata["error"]["httpStatusCode"] for shape in service_models()[0].error_shapes}
    not_modelled = {
        "MissingAuthenticationTokenException": 403,
        "UnrecognizedClientException": 403,
        "InvalidSignatureException": 403,
        "UnknownOperationException": 404,
    }
    assert error_class.status == (modelled | not_modelled)[error_class.code]


def test_the_walk_sees_a_changed_limit_and_a_changed_member() -> None:
    shape = operation_model("ListCodeInterpreterSessions").input_shape
    token = Text(min=1, max=2048, pattern=r"\S*")
    ours = Structure((Member("maxResults", Integer(min=1, max=99)), Member("nextToken", token, required=True)))
    assert set(differences(ours, shape, "x")) == {
        "x: members there only: codeInterpreterIdentifier, status",
        "x.maxResults: max",
        "x.nextToken: required",
    }
