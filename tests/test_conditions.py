"""A store that does not keep conditional writes is found out before anything is scored there."""

from typing import Any

import pytest

from scorer.errors import PreconditionFailed, SettingsError, StoreUnreachable, Terminal
from scorer.objectstore import ObjectStore, conditions, join, trusted
from tests.conftest import Bucket


class Careless(ObjectStore):
    """Writes whatever the condition says, as some gateways do."""

    def put(self, uri: str, data: bytes, **_: Any) -> str:
        return super().put(uri, data)


class Strict(ObjectStore):
    """Has no conditional writes and says so."""

    def put(self, uri: str, data: bytes, *, if_none_match: bool = False, if_match: str | None = None) -> str:
        if if_none_match or if_match:
            raise Terminal("501 Not Implemented")
        return super().put(uri, data)


class Refusing(ObjectStore):
    """Finds every condition broken."""

    def put(self, uri: str, data: bytes, **_: Any) -> str:
        raise PreconditionFailed(f"{uri} is not the version that was asked for.")


class LosesAnswers(ObjectStore):
    """Writes, and the answer gets lost on its way; the client's repetition meets what it wrote itself."""

    lost = 0

    def put(self, uri: str, data: bytes, **condition: Any) -> str:
        etag = super().put(uri, data, **condition)
        self.lost += 1
        return etag if self.lost > 1 else super().put(uri, data, **condition)


class Away(ObjectStore):
    """Does not answer."""

    def put(self, *_: Any, **__: Any) -> str:
        raise StoreUnreachable("no answer")


def test_a_store_that_keeps_its_word_is_asked_once_and_left_clean(any_bucket: Bucket) -> None:
    store, state = ObjectStore(), join(any_bucket.uri, "state")
    assert trusted(store, state, single_writer=False) is store
    careless = Careless()
    assert trusted(careless, state, single_writer=False) is careless, "not asked again"
    assert store.list_all(state) == []


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (Careless, "it wrote an object although"),
        (Strict, "501 Not Implemented"),
        (Refusing, "it refused 3 times what it should have written"),
    ],
)
def test_a_store_that_does_not_is_refused_unless_there_is_one_writer(
    bucket: Bucket, kind: type[ObjectStore], why: str
) -> None:
    state = join(bucket.uri, "state")
    with pytest.raises(SettingsError, match=rf"does not keep conditional writes.*{why}.*single_writer: true"):
        trusted(kind(), state, single_writer=False)
    assert ObjectStore().list_all(state) == []
    assert isinstance(trusted(kind(), state, single_writer=True), conditions.SingleWriterStore)


def test_an_answer_that_was_lost_is_no_judgement(bucket: Bucket) -> None:
    store, state = LosesAnswers(), join(bucket.uri, "lossy")
    assert trusted(store, state, single_writer=False) is store
    assert store.lost > 1
    assert store.list_all(state) == []


def test_a_store_that_does_not_answer_is_not_judged(bucket: Bucket) -> None:
    with pytest.raises(StoreUnreachable):
        trusted(Away(), join(bucket.uri, "other"), single_writer=False)


def test_local_files_need_no_proof(tmp_path: Any) -> None:
    store = Careless()
    assert trusted(store, str(tmp_path / "state"), single_writer=False) is store


def test_for_one_writer_conditions_hold_without_the_stores_help(bucket: Bucket) -> None:
    store = conditions.SingleWriterStore()
    uri, other = join(bucket.uri, "a"), join(bucket.uri, "b")
    etag = store.put(uri, b"1", if_none_match=True)
    conditions_not_met: tuple[dict[str, Any], ...] = ({"if_none_match": True}, {"if_match": '"0"'})
    for condition in conditions_not_met:
        with pytest.raises(PreconditionFailed):
            store.put(uri, b"2", **condition)
        with pytest.raises(PreconditionFailed):
            store.copy(uri, other if "if_match" in condition else uri, **condition)
    assert store.get(uri).data == b"1"
    store.put(uri, b"3", if_match=etag)
    store.copy(uri, other, if_none_match=True)
    assert store.get(other).data == b"3"
