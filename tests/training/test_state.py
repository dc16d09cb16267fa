import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.util import event_pb2

from scorer.errors import SettingsError
from scorer.training import state
from scorer.training.curves import Curve, Journal
from scorer.training.state import Checkpoint, State, alone_in, listed, numbered


def test_a_checkpoint_gives_back_what_was_kept(tmp_path: Path) -> None:
    arrays: list[np.ndarray] = [np.arange(3), np.zeros((2, 0), np.float32)]
    Checkpoint(tmp_path / "fit.npz").save(numbered("weights", arrays) | {"pass": np.array(4)})
    found = Checkpoint(tmp_path / "fit.npz").load()
    assert found is not None
    for one, other in zip(listed("weights", found), arrays, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not list(tmp_path.glob("*.partial"))


def test_nothing_is_kept_where_no_folder_was_named() -> None:
    checkpoint = State().checkpoint("members")
    checkpoint.save({"x": np.zeros(1)})
    assert checkpoint.load() is None
    assert not checkpoint.due(last=True)
    assert State().images() is None


def test_a_state_is_saved_now_and_then_and_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = Checkpoint(tmp_path / "fit.npz")
    assert not checkpoint.due(last=False)
    assert checkpoint.due(last=True)
    monkeypatch.setattr(state, "SECONDS_BETWEEN", 0.0)
    assert checkpoint.due(last=False)


def test_fits_of_other_rows_seeds_or_kinds_have_checkpoints_of_their_own(tmp_path: Path) -> None:
    opened = State.open(str(tmp_path), {"seed": 1})
    names = [
        ("members", np.arange(3), 1),
        ("members", np.arange(4), 1),
        ("members", np.arange(3), 2),
        ("x", np.arange(3), 1),
    ]
    for place, name in enumerate(names):
        opened.checkpoint(*name).save({"place": np.array(place)})
    for place, name in enumerate(names):
        found = State.open(str(tmp_path), {"seed": 1}).checkpoint(*name).load()
        assert found is not None
        assert found["place"] == place


def test_what_another_training_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    State.open(str(tmp_path), {"seed": 1}).checkpoint("members").save({"x": np.zeros(1)})
    images = State.open(str(tmp_path), {"seed": 1}).images()
    assert images is not None
    (images / "pixels.uint8").write_bytes(b"x")
    other = State.open(str(tmp_path), {"seed": 2})
    assert other.checkpoint("members").load() is None
    assert not (images / "pixels.uint8").exists()
    assert (tmp_path / "notes.txt").read_text() == "mine"
    other.clear()
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_two_trainings_do_not_share_a_folder_and_one_that_was_killed_has_let_go_of_it(tmp_path: Path) -> None:
    code = """if True:
        import sys, time
        from scorer.training.state import alone_in
        with alone_in(sys.argv[1]):
            print("in", flush=True)
            time.sleep(600)
    """
    other = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == b"in\n"
        with (
            pytest.raises(SettingsError, match="Nothing was started"),
            alone_in(str(tmp_path)),
        ):
            pass
    finally:
        os.kill(other.pid, signal.SIGKILL)
        other.communicate()
    with alone_in(str(tmp_path)):
        assert not list(tmp_path.iterdir())


def test_a_curve_knows_its_best_pass_and_survives_a_checkpoint() -> None:
    curve = Curve().then(3.0, 2.0).then(2.0, 1.0).then(1.0, 1.5)
    assert (curve.best, curve.stale, curve.passes) == (2, 1, 3)
    assert Curve.from_arrays(curve.arrays()) == curve
    assert Curve.from_arrays(Curve().arrays()) == Curve()


def test_each_fit_writes_its_losses_where_tensorboard_finds_them(tmp_path: Path) -> None:
    journal = Journal(lambda line: None, tmp_path)
    curve = Curve()
    for validation in (2.0, 1.0):
        curve = curve.then(3.0, validation)
        journal.tell("numbers only", curve)
    (path,) = (tmp_path / "numbers_only").glob("events.out.tfevents.*")
    events = [event_pb2.Event.FromString(raw.numpy()) for raw in tf.data.TFRecordDataset(str(path))]
    assert events[0].file_version == "brain.Event:2"
    found = [(event.step, {value.tag: value.simple_value for value in event.summary.value}) for event in events[1:]]
    assert found == [(1, {"loss": 3.0, "validation": 2.0}), (2, {"loss": 3.0, "validation": 1.0})]
