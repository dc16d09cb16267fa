from pathlib import Path

import numpy as np
import pytest

from scorer.errors import InputError, Terminal
from scorer.settings import TrainJob
from scorer.training import members
from scorer.training.curves import Journal
from scorer.training.folds import deal_folds
from scorer.training.members import FittedMembers, fit_members, predict_in_chunks
from scorer.training.objective import Goal
from scorer.training.procedure import SILENT
from scorer.training.state import Checkpoint

ROWS = 120
JOB = TrainJob(listings="L", target="price", bundle="B", epochs=15, learning_rate=0.01)


def table(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """float32 [n, 3] and float64 [n, 2], which follows from it."""
    features = np.random.default_rng(seed).normal(size=(ROWS, 3)).astype(np.float32)
    return features, np.stack([features[:, 0] - features[:, 1], np.abs(features[:, 2])], axis=1).astype(np.float64)


def fitted(seed: int = 0, groups: np.ndarray | None = None, **settings: object) -> FittedMembers:
    features, goal = table()
    groups = np.arange(ROWS) // 2 if groups is None else groups
    return fit_members(
        features, Goal.of(goal), groups, JOB.model_copy(update=settings), (8,), 2, seed, SILENT, Checkpoint()
    )


@pytest.fixture(scope="module")
def found() -> FittedMembers:
    return fitted()


def test_nets_learn_side_by_side_and_only_those_that_saw_every_row_are_kept(found: FittedMembers) -> None:
    features, goal = table()
    predicted = predict_in_chunks(found.model, features)
    assert predicted.shape == (ROWS, 2, 2)
    assert np.square(predicted.mean(axis=1) - goal).mean() < 0.5 * goal.var(axis=0).mean()


def test_every_row_is_predicted_by_nets_that_did_not_see_it(found: FittedMembers) -> None:
    assert np.isfinite(found.out_of_fold).all()
    features, goal = table()
    goal[0] += 1000  # what the nets of its fold do not see cannot move them
    other = fit_members(features, Goal.of(goal), np.arange(ROWS) // 2, JOB, (8,), 2, 0, SILENT, Checkpoint())
    assert np.abs(other.out_of_fold[0] - found.out_of_fold[0]).max() < 10


def test_rows_of_one_group_are_held_out_together(found: FittedMembers) -> None:
    assert (found.folds.reshape(-1, 2) == found.folds[::2, None]).all()
    assert sorted(set(found.folds)) == [0, 1, 2, 3, 4]


def test_the_same_seed_gives_the_same_nets_to_the_last_bit(found: FittedMembers) -> None:
    for one, other in zip(found.model.get_weights(), fitted().model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert fitted(seed=1).model.get_weights()[0].tobytes() != found.model.get_weights()[0].tobytes()


def test_of_many_rows_one_part_is_held_out_from_all_nets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "MANY_ROWS", ROWS)
    found = fitted()
    held_out = found.folds == 0
    assert 0.1 < held_out.mean() < 0.2
    assert (found.folds[~held_out] == -1).all()
    assert np.isfinite(found.out_of_fold[held_out]).all()
    assert np.isnan(found.out_of_fold[~held_out]).all()


def test_training_stops_when_held_out_rows_are_predicted_no_better_and_goes_back() -> None:
    lines: list[str] = []
    features, _ = table()
    noise = np.random.default_rng(1).normal(size=(ROWS, 1))
    job = JOB.model_copy(update={"epochs": 60, "patience": 2, "learning_rate": 0.03})
    found = fit_members(features, Goal.of(noise), np.arange(ROWS), job, (8,), 1, 0, Journal(lines.append), Checkpoint())
    assert len(lines) == found.curve.passes == found.curve.best + 2
    assert lines[found.curve.best - 1].endswith(", best so far")


def test_a_fit_that_was_cut_off_goes_on_and_ends_with_the_same_nets(tmp_path: Path, found: FittedMembers) -> None:
    features, goal = table()

    def run(most: int, checkpoint: Checkpoint) -> FittedMembers:
        job = JOB.model_copy(update={"epochs": most})
        return fit_members(features, Goal.of(goal), np.arange(ROWS) // 2, job, (8,), 2, 0, SILENT, checkpoint)

    run(6, Checkpoint(tmp_path / "fit.npz"))
    resumed = run(JOB.epochs, Checkpoint(tmp_path / "fit.npz"))
    assert resumed.curve == found.curve
    np.testing.assert_array_equal(resumed.out_of_fold, found.out_of_fold)
    for one, other in zip(resumed.model.get_weights(), found.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_listings_that_all_hang_together_cannot_be_learned_from() -> None:
    with pytest.raises(InputError, match=r"All 120 listings .* none can be held out .*No bundle was written"):
        fitted(groups=np.zeros(ROWS, np.int64))


def test_a_training_that_diverges_is_an_error_and_names_the_remedy() -> None:
    features, goal = table()
    goal[3] = np.inf
    with pytest.raises(Terminal, match=r"number nets diverged.*smaller learning_rate"):
        fit_members(features, Goal.of(goal), np.arange(ROWS), JOB, (8,), 1, 0, SILENT, Checkpoint())


def test_folds_are_whole_groups_dealt_out_evenly_by_the_seed() -> None:
    groups = np.repeat(np.arange(40), 3)
    folds = deal_folds(groups, 5, seed=0)
    assert (folds.reshape(-1, 3) == folds[::3, None]).all()
    assert np.bincount(folds).tolist() == [24] * 5
    assert (deal_folds(groups, 5, seed=0) == folds).all()
    assert (deal_folds(groups, 5, seed=1) != folds).any()
