"""What the guide asks of the `aws` program and AWS's own model of the data plane does not have, as an addition to that model.

botocore merges a file `service-2.sdk-extras.json` of any folder in AWS_DATA_PATH into the service's model, and so do the `aws` program
and boto3. All but two members is taken from botocore's installed model of the control plane.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from botocore.loaders import Loader

from cellblock.wire.operations import TASK_HEADER

DATA_PLANE, CONTROL_PLANE = "bedrock-agentcore", "bedrock-agentcore-control"
EXTRAS_NAME = "service-2.sdk-extras.json"

_OPERATIONS = ("CreateCodeInterpreter", "GetCodeInterpreter", "ListCodeInterpreters", "DeleteCodeInterpreter")
_RENAMED = "Control"  # before the name of a shape that the data plane has too, with other members

Shape = dict[str, Any]


def write_models(folder: Path) -> Path:
    """Write the addition below the folder, which is what AWS_DATA_PATH names; nothing changes when it is there. Raises OSError."""
    loader = Loader()
    target = folder / DATA_PLANE / loader.determine_latest_version(DATA_PLANE, "service-2") / EXTRAS_NAME
    text = json.dumps(addition(loader), indent=1) + "\n"
    if not target.exists() or target.read_text() != text:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=target.parent, delete=False) as written:
            written.write(text)
        os.replace(written.name, target)
    return folder


def addition(loader: Loader) -> dict[str, Any]:
    """The addition in botocore's form: the four operations of the control plane, and a member for each of two operations."""
    data = loader.load_service_model(DATA_PLANE, "service-2")
    control = loader.load_service_model(CONTROL_PLANE, "service-2")
    operations = {name: control["operations"][name] for name in _OPERATIONS}
    names = _new_names(_reached(control["shapes"], operations), control["shapes"], data["shapes"])
    shapes = {new: _renamed(control["shapes"][name], names) for name, new in names.items() if new not in data["shapes"]}
    shapes["StartCodeInterpreterSessionRequest"] = {"members": {"description": {"shape": "Description"}}}
    task = {"shape": "String", "location": "header", "locationName": TASK_HEADER}
    shapes["InvokeCodeInterpreterResponse"] = {"members": {"taskId": task}}
    return {"version": 1.0, "merge": {"operations": _renamed(operations, names), "shapes": shapes}}


def _reached(shapes: dict[str, Shape], operations: dict[str, Shape]) -> set[str]:
    """The shapes that the operations need, errors too."""
    waiting = sorted(_named(operations))
    reached: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(_named(shapes[name]))
    return reached


def _named(node: Any) -> set[str]:
    if isinstance(node, list):
        return {name for item in node for name in _named(item)}
    if not isinstance(node, dict):
        return set()
    own = {node["shape"]} if isinstance(node.get("shape"), str) else set()
    return own.union(*(_named(value) for value in node.values()))


def _new_names(names: set[str], control: dict[str, Shape], data: dict[str, Shape]) -> dict[str, str]:
    """An error keeps its name, which is its code; another shape of the same name keeps it when it is the same shape."""
    taken = {name for name in names if name in data and data[name] != control[name] and not control[name].get("exception")}
    return {name: f"{_RENAMED}{name}" if name in taken else name for name in names}


def _renamed(node: Any, names: dict[str, str]) -> Any:
    if isinstance(node, list):
        return [_renamed(item, names) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: names.get(value, value) if key == "shape" and isinstance(value, str) else _renamed(value, names) for key, value in node.items()
    }
