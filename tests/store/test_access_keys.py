"""Contract of every store: accounts and access keys."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from cellblock.errors import AccessKeyNotFound, AccountExists, AccountNotFound, KeyNameInUse, UnknownKey
from cellblock.machine.data_directory import SECRETS_KEY_NAME, DataDirectoryError
from cellblock.model.policies import Policy, Statement
from cellblock.model.resources import AccessKey, Account, new_access_key, new_secret, now
from cellblock.service.key_ring import KeyRing
from cellblock.store.protocol import Store
from cellblock.store.sealing import Sealer, is_sealed
from cellblock.store.sqlite import SqliteStore
from store.things import ACCOUNT, OTHER_ACCOUNT, START

READ_ONLY = Policy((Statement("Allow", ("bedrock-agentcore:Get*",), ("*",)), Statement("Deny", ("*",), ("arn:aws:x",))))


@pytest.fixture
async def first(store: Store) -> AccessKey:
    """The key that a first start makes, and with it the account."""
    return await store.keep_first_access_key(new_access_key(account=ACCOUNT, name="first"))


async def test_key_comes_back_as_it_was_given(store: Store, first: AccessKey) -> None:
    key = new_access_key(account=ACCOUNT, name="reader", policy=READ_ONLY, expires_at=START)
    assert await store.create_access_key(key) == key
    assert await store.get_access_key(key.id) == key
    assert await store.list_access_keys() == (first, key)


async def test_key_of_an_unknown_account_is_refused(store: Store, first: AccessKey) -> None:
    with pytest.raises(AccountNotFound, match=f"cellblock accounts create {OTHER_ACCOUNT}"):
        await store.create_access_key(new_access_key(account=OTHER_ACCOUNT, name="theirs"))


async def test_accounts_have_ids_and_names_of_their_own(store: Store, first: AccessKey) -> None:
    made = await store.create_account(Account(id=OTHER_ACCOUNT, name="research", created_at=START))
    assert made in await store.list_accounts()
    for again in (Account(id=OTHER_ACCOUNT, name="other", created_at=START), Account(id="1" * 12, name="research", created_at=START)):
        with pytest.raises(AccountExists):
            await store.create_account(again)


async def test_name_of_a_key_is_free_again_after_its_revocation(store: Store, first: AccessKey) -> None:
    with pytest.raises(KeyNameInUse):
        await store.create_access_key(new_access_key(account=ACCOUNT, name="first"))
    await store.revoke_access_key(first.id)
    second = await store.create_access_key(new_access_key(account=ACCOUNT, name="first"))
    assert [key.id for key in await store.list_access_keys(ACCOUNT)] == [first.id, second.id]


async def test_one_of_many_revocations_at_once_succeeds(store: Store, first: AccessKey) -> None:
    results = await asyncio.gather(*(store.revoke_access_key(first.id) for _ in range(10)), return_exceptions=True)
    assert sum(isinstance(result, AccessKeyNotFound) for result in results) == 9


async def test_revoked_first_key_is_not_made_again(store: Store, first: AccessKey) -> None:
    await store.revoke_access_key(first.id)
    again = await store.keep_first_access_key(new_access_key(account=ACCOUNT, name="first"))
    assert (again.id, again.revoked_at is None) == (first.id, False)


async def test_rotation_gives_another_secret_and_keeps_the_old_one_until_its_time(store: Store, first: AccessKey) -> None:
    until = START + timedelta(hours=1)
    rotated = await store.rotate_access_key(first.id, new_secret(), old_until=until)
    assert await store.get_access_key(first.id) == rotated
    assert rotated.secrets(until - timedelta(seconds=1)) == (rotated.secret, first.secret)
    assert rotated.secrets(until) == (rotated.secret,)
    at_once = await store.rotate_access_key(first.id, new_secret())
    assert at_once.secrets(START) == (at_once.secret,)


async def test_revoked_key_is_not_rotated(store: Store, first: AccessKey) -> None:
    await store.revoke_access_key(first.id)
    with pytest.raises(AccessKeyNotFound, match="cellblock keys list"):
        await store.rotate_access_key(first.id, new_secret())


async def test_each_change_of_a_key_changes_the_version(store: Store, first: AccessKey) -> None:
    seen = [store.keys_version()]
    key = await store.create_access_key(new_access_key(account=ACCOUNT, name="second"))
    seen.append(store.keys_version())
    await store.rotate_access_key(key.id, new_secret())
    seen.append(store.keys_version())
    await store.revoke_access_key(key.id)
    seen.append(store.keys_version())
    assert None not in seen
    assert len(set(seen)) == len(seen)
    assert store.keys_version() == seen[-1]


async def test_key_ring_sees_a_revocation_at_once(store: Store, first: AccessKey) -> None:
    ring = KeyRing(store)
    assert await ring.find(first.id) == first
    await store.revoke_access_key(first.id)
    with pytest.raises(UnknownKey):
        await ring.find(first.id)


async def test_key_ring_refuses_an_expired_key(store: Store, first: AccessKey) -> None:
    soon, past = [
        await store.create_access_key(new_access_key(account=ACCOUNT, name=name, expires_at=now() + timedelta(hours=hours)))
        for name, hours in (("soon", 1), ("past", -1))
    ]
    ring = KeyRing(store)
    assert await ring.find(soon.id) == soon
    with pytest.raises(UnknownKey):
        await ring.find(past.id)


class OvertakenStore:
    """A store in which a key is revoked while it is on its way to who asked for it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.keys_version = store.keys_version

    async def get_access_key(self, key_id: str) -> AccessKey:
        key = await self._store.get_access_key(key_id)
        await self._store.revoke_access_key(key_id)
        self.get_access_key = self._store.get_access_key  # type: ignore[method-assign]
        return key


async def test_key_that_was_revoked_while_it_was_looked_up_is_not_remembered(store: Store, first: AccessKey) -> None:
    ring = KeyRing(OvertakenStore(store))  # type: ignore[arg-type]
    await ring.find(first.id)
    with pytest.raises(UnknownKey):
        await ring.find(first.id)


def test_sealed_secret_opens_with_its_own_file_and_id_alone(tmp_path: Path) -> None:
    sealer, other = Sealer(tmp_path / SECRETS_KEY_NAME), Sealer(tmp_path / "other.key")
    kept = sealer.seal("very secret", "AKIAONE")
    assert is_sealed(kept)
    assert "very secret" not in kept
    assert Sealer(tmp_path / SECRETS_KEY_NAME).open(kept, "AKIAONE") == "very secret"
    assert kept != sealer.seal("very secret", "AKIAONE")
    other.seal("makes the other file", "x")
    for wrong, owner in ((sealer, "AKIATWO"), (other, "AKIAONE")):
        with pytest.raises(DataDirectoryError, match="does not open the secret of access key"):
            wrong.open(kept, owner)


def test_damaged_key_file_is_named(tmp_path: Path) -> None:
    (tmp_path / SECRETS_KEY_NAME).write_bytes(b"short")
    with pytest.raises(DataDirectoryError, match=SECRETS_KEY_NAME):
        Sealer(tmp_path / SECRETS_KEY_NAME).seal("secret", "AKIAONE")


async def test_database_holds_no_secret_in_the_clear(store: Store, data_dir: Path, first: AccessKey) -> None:
    rotated = await store.rotate_access_key(first.id, new_secret(), old_until=START)
    content = contents(data_dir)
    assert (rotated.id.encode() in content) == isinstance(store, SqliteStore), "where the database is looked at, it is the right file"
    assert first.secret.encode() not in content
    assert rotated.secret.encode() not in content


def contents(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.iterdir())


def test_missing_key_opens_nothing_and_is_not_made_anew(tmp_path: Path) -> None:
    kept = Sealer(tmp_path / SECRETS_KEY_NAME).seal("very secret", "AKIAONE")
    with pytest.raises(DataDirectoryError, match="put back the file"):
        Sealer(tmp_path / "missing.key").open(kept, "AKIAONE")
    assert not (tmp_path / "missing.key").exists()
