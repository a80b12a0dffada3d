"""Two accounts on one server see nothing of each other, and keys do what their policies say; stock boto3 asks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from cellblock.model.policies import Policy
from cellblock.model.resources import new_secret, now
from service.served import BUILT_IN, Served, invoke, off_loop, refused, serving

OTHER_ACCOUNT = "999999999999"
SANDBOX = {"networkMode": "SANDBOX"}
UNKNOWN_SESSION = "0" * 26


@pytest.fixture
async def theirs(served: Served) -> Served:
    """The same server with a key of another account."""
    return served.of(await served.other_key("theirs", account=OTHER_ACCOUNT))


async def code_and_shape(method: Any, id_in_message: str, **arguments: Any) -> tuple[str, int, str]:
    """An error with the id that was asked for taken out of its message."""
    error = await refused(method, **arguments)
    message = error["Error"]["Message"].replace(id_in_message, "ID")
    return error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"], message


@pytest.mark.parametrize("is_turned_round", [False, True], ids=["one side", "the other side"])
async def test_session_of_another_account_is_like_one_that_never_was(served: Served, theirs: Served, is_turned_round: bool) -> None:
    owner, stranger = (theirs, served) if is_turned_round else (served, theirs)
    session = await owner.start()
    client = stranger.data()
    for method, more in (
        (client.get_code_interpreter_session, {}),
        (client.stop_code_interpreter_session, {}),
        (client.invoke_code_interpreter, {"name": "executeCode", "arguments": {"language": "python", "code": "1"}}),
    ):
        named = {"codeInterpreterIdentifier": BUILT_IN}
        answers = [await code_and_shape(method, one, **named, sessionId=one, **more) for one in (session.id, UNKNOWN_SESSION)]
        assert answers[0] == answers[1]
        assert answers[0][:2] == ("ResourceNotFoundException", 404)
    listed = await off_loop(client.list_code_interpreter_sessions, codeInterpreterIdentifier=BUILT_IN)
    assert listed["items"] == []
    assert (await session.get())["status"] == "READY"


@pytest.mark.parametrize("is_turned_round", [False, True], ids=["one side", "the other side"])
async def test_interpreter_of_another_account_is_like_one_that_never_was(served: Served, theirs: Served, is_turned_round: bool) -> None:
    owner, stranger = (theirs, served) if is_turned_round else (served, theirs)
    made = await off_loop(owner.control().create_code_interpreter, name="sales", networkConfiguration=SANDBOX)
    mine, unknown = made["codeInterpreterId"], "sales-0000000000"
    control, data = stranger.control(), stranger.data()
    for method, member in (
        (control.get_code_interpreter, "codeInterpreterId"),
        (control.delete_code_interpreter, "codeInterpreterId"),
        (data.start_code_interpreter_session, "codeInterpreterIdentifier"),
        (data.list_code_interpreter_sessions, "codeInterpreterIdentifier"),
    ):
        answers = [await code_and_shape(method, one, **{member: one}) for one in (mine, unknown)]
        assert answers[0] == answers[1]
        assert answers[0][:2] == ("ResourceNotFoundException", 404)
    listed = await off_loop(control.list_code_interpreters)
    assert [one["codeInterpreterId"] for one in listed["codeInterpreterSummaries"]] == [BUILT_IN]
    assert (await off_loop(owner.control().get_code_interpreter, codeInterpreterId=mine))["name"] == "sales"


async def test_names_tokens_and_arns_are_each_accounts_own(served: Served, theirs: Served) -> None:
    token = "t" * 40
    both = [
        await off_loop(one.control().create_code_interpreter, name="sales", networkConfiguration=SANDBOX, clientToken=token)
        for one in (served, theirs)
    ]
    assert both[0]["codeInterpreterId"] != both[1]["codeInterpreterId"]
    assert [one["codeInterpreterArn"].split(":")[4] for one in both] == [served.key.account, OTHER_ACCOUNT]


async def test_quota_of_one_account_leaves_the_other_its_own(data_dir: Any) -> None:
    async with serving(data_dir, max_sessions=1) as served:
        theirs = served.of(await served.other_key("theirs", account=OTHER_ACCOUNT))
        await served.start()
        error = await refused(served.data().start_code_interpreter_session, codeInterpreterIdentifier=BUILT_IN)
        assert error["Error"]["Code"] == "ServiceQuotaExceededException"
        await theirs.start()


async def test_two_keys_of_one_account_see_the_same(served: Served) -> None:
    colleague = served.of(await served.other_key("colleague"))
    session = await served.start()
    assert (await session.invoke("executeCode", client=colleague.data(), language="python", code="1"))["isError"] is False


async def test_policy_lets_a_key_do_what_it_names_and_no_more(served: Served) -> None:
    text = '{"Statement": [{"Effect": "Allow", "Action": "bedrock-agentcore:*Session*", "Resource": "arn:*:code-interpreter/*"}]}'
    watcher = served.of(await served.other_key("watcher", policy=Policy.parse(text)))
    session = await watcher.start()
    with pytest.raises(watcher.data().exceptions.AccessDeniedException) as caught:
        await off_loop(invoke, watcher.data(), session.id, "executeCode", {"language": "python", "code": "1"})
    assert caught.value.response["Error"]["Message"] == (
        f"User: arn:aws:iam::{served.key.account}:user/watcher is not authorized to perform: bedrock-agentcore:InvokeCodeInterpreter"
        f" on resource: arn:aws:bedrock-agentcore:us-west-2:aws:code-interpreter/{BUILT_IN}"
        " because no identity-based policy allows the bedrock-agentcore:InvokeCodeInterpreter action"
    )


async def test_revocation_by_another_process_is_in_force_at_the_next_request(served: Served) -> None:
    key = await served.other_key("short")
    session = await served.of(key).start()
    async with served.store() as store:
        await store.revoke_access_key(key.id)
    error = await session.refused("executeCode", language="python", code="1")
    assert (error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]) == ("UnrecognizedClientException", 403)
    kept = await off_loop(served.data().get_code_interpreter_session, codeInterpreterIdentifier=BUILT_IN, sessionId=session.id)
    assert kept["status"] == "READY"


@pytest.mark.parametrize("has_grace", [False, True])
async def test_rotated_key_keeps_its_old_secret_for_the_grace_period_alone(served: Served, has_grace: bool) -> None:
    key = await served.other_key("rotating")
    await off_loop(served.of(key).data().list_code_interpreter_sessions, codeInterpreterIdentifier=BUILT_IN)
    async with served.store() as store:
        until = now() + timedelta(hours=1) if has_grace else None
        fresh = await store.rotate_access_key(key.id, new_secret(), old_until=until)
    await off_loop(served.of(fresh).data().list_code_interpreter_sessions, codeInterpreterIdentifier=BUILT_IN)
    with_old = served.of(key).data()
    if has_grace:
        await off_loop(with_old.list_code_interpreter_sessions, codeInterpreterIdentifier=BUILT_IN)
    else:
        error = await refused(with_old.list_code_interpreter_sessions, codeInterpreterIdentifier=BUILT_IN)
        assert error["Error"]["Code"] == "InvalidSignatureException"
