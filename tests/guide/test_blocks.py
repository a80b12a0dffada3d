"""What users do first with the stock clients, call for call as AWS's own guide has it, in our own words."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import boto3
import pytest
from bedrock_agentcore.tools.code_interpreter_client import CodeInterpreter, code_session

from running_server import BUILT_IN, Json

REGION = "us-east-1"
ROLE = "arn:aws:iam::123456789012:role/CodeInterpreterRole"


def results(answer: Json) -> list[Json]:
    """Every result of an answer, read as its stream."""
    return [event.get("result", {}) for event in answer["stream"]]


def text(answer: Json) -> str:
    """The text blocks of an answer."""
    return "\n".join(block["text"] for result in results(answer) for block in result.get("content", []) if block["type"] == "text")


@pytest.fixture
def client() -> Iterator[CodeInterpreter]:
    """The high-level client."""
    with code_session(REGION) as started:
        yield started


@pytest.fixture
def data() -> Any:
    """boto3's client of the data plane."""
    return boto3.client("bedrock-agentcore", region_name=REGION)


@pytest.fixture
def session_id(data: Any) -> Iterator[str]:
    """A session of boto3's client."""
    started = data.start_code_interpreter_session(codeInterpreterIdentifier=BUILT_IN, name="my-session", sessionTimeoutSeconds=1800)
    yield started["sessionId"]
    data.stop_code_interpreter_session(codeInterpreterIdentifier=BUILT_IN, sessionId=started["sessionId"])


def invoke(data: Any, session_id: str, tool: str, **arguments: Any) -> Json:
    """A tool by boto3."""
    answer: Json = data.invoke_code_interpreter(codeInterpreterIdentifier=BUILT_IN, sessionId=session_id, name=tool, arguments=arguments)
    return answer


def test_high_level_client_starts_runs_and_stops() -> None:
    client = CodeInterpreter(REGION)
    client.start()
    try:
        answer = client.invoke("executeCode", {"language": "python", "code": 'print("Hello from Cellblock!")'})
        assert '"text": "Hello from Cellblock!"' in json.dumps(results(answer), indent=2)
    finally:
        client.stop()


def test_context_manager_prints_a_table(client: CodeInterpreter) -> None:
    code = "import pandas as pd\npeople = pd.DataFrame({'name': ['Ada', 'Kurt'], 'age': [36, 71]})\nprint(people.to_string())"
    answer = client.invoke("executeCode", {"language": "python", "code": code})
    assert [line.split() for line in text(answer).splitlines()] == [["name", "age"], ["0", "Ada", "36"], ["1", "Kurt", "71"]]


def test_table_keeps_its_alignment(client: CodeInterpreter) -> None:
    answer = client.invoke(
        "executeCode", {"language": "python", "code": "import pandas as pd\nprint(pd.DataFrame({'n': [1]}).to_string())"}
    )
    assert text(answer) == "   n\n0  1"


def test_control_plane_creates_and_lists() -> None:
    control = boto3.client("bedrock-agentcore-control", region_name=REGION)
    name = f"my-interpreter-{uuid4().hex[:8]}"
    made = control.create_code_interpreter(
        name=name, description="For ML tasks", executionRoleArn=ROLE, networkConfiguration={"networkMode": "PUBLIC"}
    )
    listed = {one["name"]: one["codeInterpreterId"] for one in control.list_code_interpreters().get("codeInterpreterSummaries", [])}
    assert listed[name] == made["codeInterpreterId"]


def test_data_plane_adds_numbers(data: Any, session_id: str) -> None:
    answer = invoke(data, session_id, "executeCode", language="python", code="print(sum(range(100)))")
    assert [block["text"] for event in answer["stream"] if "result" in event for block in event["result"]["content"]] == ["4950"]


def test_files_are_written_listed_read_and_removed(data: Any, session_id: str) -> None:
    content = [{"path": "data/input.csv", "text": "name,value\nA,100\nB,200"}, {"path": "config.json", "text": '{"threshold": 150}'}]
    assert text(invoke(data, session_id, "writeFiles", content=content)) == "Successfully wrote all 2 files"
    (listed,) = results(invoke(data, session_id, "listFiles", directoryPath="data"))
    assert [block["name"] for block in listed["content"]] == ["input.csv"]
    (read,) = results(invoke(data, session_id, "readFiles", paths=["data/input.csv"]))
    assert read["content"][0]["resource"]["text"] == "name,value\nA,100\nB,200"
    assert text(invoke(data, session_id, "removeFiles", paths=["config.json"])) == "Successfully removed all 1 files"
    (listed,) = results(invoke(data, session_id, "listFiles", directoryPath=""))
    assert [block["name"] for block in listed["content"]] == ["data"]


def test_blocking_command_installs_and_lists_packages(data: Any, session_id: str) -> None:
    assert "requests" in text(invoke(data, session_id, "executeCommand", command="pip install requests && pip list"))


def test_long_command_is_started_asked_about_and_stopped(data: Any, session_id: str) -> None:
    train = "import select\nprint('training', flush=True)\nselect.select([], [], [], 1000)"
    invoke(data, session_id, "writeFiles", content=[{"path": "train_model.py", "text": train}])
    (started,) = results(invoke(data, session_id, "startCommandExecution", command="python train_model.py"))
    task_id = started["structuredContent"]["taskId"]
    (asked,) = results(invoke(data, session_id, "getTask", taskId=task_id))
    assert asked["structuredContent"]["taskStatus"] == "working"
    assert "canceled" in text(invoke(data, session_id, "stopTask", taskId=task_id))


def test_calculation_returns_its_lines(client: CodeInterpreter) -> None:
    code = (
        "def grown(principal, rate, years, periods=12):\n    '''Compound interest.'''\n"
        "    return round(principal * (1 + rate / periods) ** (periods * years), 2)\n\n"
        "total = grown(10_000, 0.07, 10)\nprint(f'Total: ${total:,}')\nprint(f'Earned: ${total - 10_000:,.2f}')\n"
    )
    assert text(client.invoke("executeCode", {"language": "python", "code": code})) == "Total: $20,096.61\nEarned: $10,096.61"


def test_csv_is_analysed_and_comes_back_as_json(client: CodeInterpreter) -> None:
    csv = "date,product,sales,region\n2024-01-01,A,150,North\n2024-01-01,B,200,South\n2024-01-02,A,175,North\n"
    client.invoke("writeFiles", {"content": [{"path": "data.csv", "text": csv}]})
    code = (
        "import pandas as pd, json\ndf = pd.read_csv('data.csv')\n"
        "print(json.dumps({'rows': len(df), 'columns': list(df.columns), 'dtypes': {c: str(t) for c, t in df.dtypes.items()},\n"
        "    'summary': df.describe().to_dict(), 'missing': df.isnull().sum().to_dict(), 'sample': df.head(3).to_dict(orient='records')},\n"
        "    indent=2, default=str))"
    )
    found = json.loads(text(client.invoke("executeCode", {"language": "python", "code": code})))
    assert (found["rows"], found["columns"]) == (3, ["date", "product", "sales", "region"])
    assert found["summary"]["sales"]["mean"] == 175


@pytest.mark.parametrize("kind", ["bar", "plot"])
def test_chart_is_printed_as_base64(client: CodeInterpreter, kind: str) -> None:
    chart = {"labels": ["Q1", "Q2", "Q3", "Q4"], "values": [150, 220, 180, 290], "title": "Quarterly Sales"}
    client.invoke("writeFiles", {"content": [{"path": "chart_data.json", "text": json.dumps(chart)}]})
    code = (
        "import matplotlib.pyplot as plt\nimport base64, json\nfrom io import BytesIO\n"
        "with open('chart_data.json') as f:\n    data = json.load(f)\n"
        f"fig, ax = plt.subplots(figsize=(10, 6))\nax.{kind}(data['labels'], data['values'], color='steelblue')\n"
        "ax.set_title(data['title'])\n"
        "plt.xticks(rotation=45, ha='right')\nplt.tight_layout()\nbuffer = BytesIO()\nplt.savefig(buffer, format='png', dpi=150)\n"
        "print(base64.b64encode(buffer.getvalue()).decode())"
    )
    png = base64.b64decode(text(client.invoke("executeCode", {"language": "python", "code": code})))
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(png) > 10_000


def test_result_of_one_session_is_the_input_of_the_next() -> None:
    raw = "metric,date,value\nrevenue,2024-01-02,1200\nrevenue,2024-01-01,1000\nusers,2024-01-01,500"
    with code_session(REGION) as first:
        first.invoke("writeFiles", {"content": [{"path": "raw.csv", "text": raw}]})
        code = "import pandas as pd\nprint(pd.read_csv('raw.csv').sort_values(['date', 'metric']).to_csv(index=False))"
        cleaned = text(first.invoke("executeCode", {"language": "python", "code": code}))
    with code_session(REGION) as second:
        second.invoke("writeFiles", {"content": [{"path": "clean.csv", "text": cleaned}]})
        code = (
            "import pandas as pd, json\ndf = pd.read_csv('clean.csv')\nresults = {}\nfor metric in df['metric'].unique():\n"
            "    values = df[df['metric'] == metric]['value']\n"
            "    trend = 'up' if values.iloc[-1] > values.iloc[0] else 'down'\n"
            "    results[metric] = {'mean': values.mean(), 'trend': trend}\n"
            "print(json.dumps(results))"
        )
        found = json.loads(text(second.invoke("executeCode", {"language": "python", "code": code})))
    assert found == {"revenue": {"mean": 1100.0, "trend": "up"}, "users": {"mean": 500.0, "trend": "down"}}


def test_state_is_kept_across_invocations(client: CodeInterpreter) -> None:
    client.invoke("writeFiles", {"content": [{"path": "data.csv", "text": "a,b\n1,2\n3,4\n"}]})
    client.invoke("executeCode", {"language": "python", "code": "import pandas as pd; df = pd.read_csv('data.csv')"})
    assert "mean" in text(client.invoke("executeCode", {"language": "python", "code": "print(df.describe())"}))


def test_code_handles_its_own_errors(client: CodeInterpreter) -> None:
    code = "import json\ntry:\n    open('missing.csv')\nexcept FileNotFoundError:\n    print(json.dumps({'error': 'File not found'}))"
    (result,) = results(client.invoke("executeCode", {"language": "python", "code": code}))
    assert (json.loads(result["content"][0]["text"]), result["isError"]) == ({"error": "File not found"}, False)


def test_temporary_files_and_directories_are_cleaned_up(client: CodeInterpreter) -> None:
    content = [{"path": path, "text": "x"} for path in ("temp.csv", "intermediate.json", "output/a/b.txt")]
    client.invoke("writeFiles", {"content": content})
    assert text(client.invoke("removeFiles", {"paths": ["temp.csv", "intermediate.json", "output/"]})) == "Successfully removed all 3 files"
    assert results(client.invoke("listFiles", {"directoryPath": ""}))[0]["content"] == []


def test_idempotent_code_finds_what_it_did_before(client: CodeInterpreter) -> None:
    code = (
        "import json, os\nif os.path.exists('result.json'):\n    print('again', open('result.json').read())\n"
        "else:\n    json.dump([1], open('result.json', 'w'))\n    print('first')"
    )
    assert [text(client.invoke("executeCode", {"language": "python", "code": code})) for _ in range(2)] == ["first", "again [1]"]


@pytest.mark.parametrize("seconds", [300, 1800, 28_800])
def test_lifetimes_for_each_kind_of_work(data: Any, seconds: int) -> None:
    started = data.start_code_interpreter_session(codeInterpreterIdentifier=BUILT_IN, sessionTimeoutSeconds=seconds)
    named = {"codeInterpreterIdentifier": BUILT_IN, "sessionId": started["sessionId"]}
    assert data.get_code_interpreter_session(**named)["sessionTimeoutSeconds"] == seconds
    data.stop_code_interpreter_session(**named)


def test_whole_event_can_be_dumped_for_a_log(client: CodeInterpreter) -> None:
    answer = client.invoke("executeCode", {"language": "python", "code": "print('Hello World')"})
    assert "Hello World" in json.dumps(list(answer["stream"]), indent=2, default=str)


def test_session_state_is_checked_by_listing_files(client: CodeInterpreter) -> None:
    assert json.dumps(list(client.invoke("listFiles", {"directoryPath": ""})["stream"]))


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        ("a, b = 0, 1\nfor _ in range(50):\n    a, b = b, a + b\nprint(a)", "12586269025"),
        ("import sympy; print(sympy.isprime(104729))", "True"),
        ("import statistics; print(round(statistics.stdev([23, 45, 67, 89, 12, 34, 56]), 4))", "26.5132"),
    ],
)
def test_answers_of_agents_are_checked_by_running_code(client: CodeInterpreter, code: str, answer: str) -> None:
    assert text(client.invoke("executeCode", {"language": "python", "code": code})) == answer
