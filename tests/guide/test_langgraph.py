"""A LangGraph workflow whose nodes each run code in a session of their own, as the guide's analysis has it."""

from __future__ import annotations

import json
import operator
from collections.abc import Iterator
from typing import Annotated, Any, TypedDict

import pytest
from bedrock_agentcore.tools.code_interpreter_client import code_session
from langchain_aws import ChatBedrockConverse
from langgraph.graph import END, StateGraph

REGION = "us-east-1"
CSV = "date,metric,value\n2024-01-03,users,480\n2024-01-01,revenue,1000\n2024-01-03,revenue,950\n2024-01-01,users,500"
CLEAN = (
    "import pandas as pd\ndf = pd.read_csv('raw.csv')\ndf['date'] = pd.to_datetime(df['date'])\n"
    "print(df.dropna().sort_values(['date', 'metric']).to_csv(index=False))"
)
ANALYSE = (
    "import json, pandas as pd\ndf = pd.read_csv('clean.csv')\nfound = {}\nfor metric in df['metric'].unique():\n"
    "    values = df[df['metric'] == metric]['value']\n"
    "    found[metric] = {'mean': values.mean(), 'trend': 'up' if values.iloc[-1] > values.iloc[0] else 'down'}\n"
    "print(json.dumps(found, indent=2))"
)


class State(TypedDict):
    """What the nodes hand on."""

    raw: str
    cleaned: str
    results: Annotated[list[dict[str, Any]], operator.add]
    report: str
    errors: Annotated[list[str], operator.add]


def texts(answer: dict[str, Any]) -> Iterator[str]:
    """The text blocks, read from the stream as the guide does."""
    for event in answer["stream"]:
        yield from (block["text"] for block in event.get("result", {}).get("content", []) if block["type"] == "text")


def load(state: State) -> dict[str, Any]:
    """A file of the session, read back by code."""
    with code_session(REGION) as client:
        code = f"import pandas as pd\nprint(pd.read_csv(pd.io.common.StringIO('''{CSV}''')).to_csv(index=False))"
        return {"raw": next(texts(client.invoke("executeCode", {"language": "python", "code": code})))}


def clean(state: State) -> dict[str, Any]:
    """The result of another session as a file of this one."""
    with code_session(REGION) as client:
        client.invoke("writeFiles", {"content": [{"path": "raw.csv", "text": state["raw"]}]})
        return {"cleaned": next(texts(client.invoke("executeCode", {"language": "python", "code": CLEAN})))}


def analyse(state: State) -> dict[str, Any]:
    """What code prints as JSON is the node's result."""
    with code_session(REGION) as client:
        client.invoke("writeFiles", {"content": [{"path": "clean.csv", "text": state["cleaned"]}]})
        found = next(texts(client.invoke("executeCode", {"language": "python", "code": ANALYSE})), None)
        return {"results": [json.loads(found)]} if found else {"errors": ["no trends"]}


def report(state: State) -> dict[str, Any]:
    """Lines for a person."""
    lines = [f"## {metric.title()}\n- Average: {one['mean']:.2f}\n- Trend: {one['trend']}" for metric, one in state["results"][0].items()]
    return {"report": "\n".join(lines)}


@pytest.fixture
def workflow() -> Any:
    """The compiled graph."""
    graph = StateGraph(State)
    steps = {"load": load, "clean": clean, "analyse": analyse, "report": report}
    for name, step in steps.items():
        graph.add_node(name, step)
    graph.set_entry_point("load")
    for first, second in zip(steps, [*list(steps)[1:], END], strict=True):
        graph.add_edge(first, second)
    return graph.compile()


EMPTY = {"raw": "", "cleaned": "", "results": [], "report": "", "errors": []}
REPORT = "## Revenue\n- Average: 975.00\n- Trend: down\n## Users\n- Average: 490.00\n- Trend: down"


def test_workflow_hands_data_from_session_to_session(workflow: Any) -> None:
    done = workflow.invoke(EMPTY)
    assert (done["report"], done["errors"]) == (REPORT, [])


async def test_workflow_runs_from_an_event_loop(workflow: Any) -> None:
    assert (await workflow.ainvoke(EMPTY))["report"] == REPORT


def test_the_model_class_that_the_guide_imports_needs_no_network_until_it_is_asked() -> None:
    assert ChatBedrockConverse(model="anthropic.claude-3-haiku-20240307-v1:0", region_name=REGION).model_id
