"""The guide's "Enable Verbose Logging" and "Log to CloudWatch": the request's id joins what a client logs to what the server logged."""

from __future__ import annotations

import json
import logging

import boto3
import pytest

from running_server import REGION, RunningServer, until


def test_enable_verbose_logging(server: RunningServer, caplog: pytest.LogCaptureFixture) -> None:
    boto3.set_stream_logger("botocore", logging.DEBUG)
    botocore = logging.getLogger("botocore")
    try:
        with caplog.at_level(logging.DEBUG, logger="botocore"):
            answer = boto3.client("bedrock-agentcore-control", region_name=REGION).list_code_interpreters()
    finally:
        botocore.handlers.clear()
        botocore.setLevel(logging.NOTSET)
    request_id = answer["ResponseMetadata"]["RequestId"]
    assert "Response headers" in caplog.text
    assert request_id in caplog.text
    log = server.data_dir / "logs" / "server.jsonl"
    until(lambda: request_id in log.read_text())
    (line,) = [line for text in log.read_text().splitlines() if (line := json.loads(text)).get("request_id") == request_id]
    assert (line["operation"], line["status"]) == ("ListCodeInterpreters", 200)
