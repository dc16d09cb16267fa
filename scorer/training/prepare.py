"""From examples to what nets take: what all fits share, and what is fitted on some of the rows alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from scorer.errors import InputError, SettingsError
from scorer.model.preprocessing import Mask, Matrix, Preprocessing
from scorer.model.target import Floats, TargetTransform
from scorer.settings import TrainJob
from scorer.training.embed import Embedded
from scorer.training.examples import Examples
from scorer.training.features import Encodings, fit_preprocessing, select_features, transform_table
from scorer.training.objective import Goal, Objective, objective_of
from scorer.training.recipes import Design
from scorer.training.split import Rows, Split, latest_times, split_by_time, split_groups
from scorer.training.state import State

Progress = Callable[[str], None]
Kind = Literal["identity", "log"]

NOTHING_KEPT = State()


@dataclass(frozen=True)
class Data:
    """What every fit is given, whichever rows it may learn from.

    Attributes:
        examples: the listings, n of them.
        job: settings of the training.
        design: what is built.
        columns: the feature columns.
        kind: how the target is learned.
        further_kinds: how each of the further ones is.
        embedded: of a tower that stays as it is; None where the fit trains one.
        folder: for large files, until the training ends.
        state: where fits keep checkpoints.
        tag: tells data apart that differ in nothing else that a checkpoint is named by.
    """

    examples: Examples
    job: TrainJob
    design: Design
    columns: tuple[str, ...]
    kind: Kind
    embedded: Embedded | None
    folder: Path
    state: State = NOTHING_KEPT
    tag: str = ""
    further_kinds: Mapping[str, Kind] = field(default_factory=dict)

    @property
    def objective(self) -> Objective:
        """What is learned."""
        return objective_of(self.job, self.examples.classes)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the head's outputs, O of them."""
        return (*self.objective.outputs, *self.examples.further)

    def shuffled(self, seed: int) -> "Data":
        """The same with each listing's images given to another: what a fit gains here, it does not gain by looking."""
        order = np.random.default_rng(seed).permutation(len(self.examples))
        examples = replace(self.examples, images=self.examples.images[order])
        return replace(self, examples=examples, tag=f"{self.tag} shuffled {seed}")


@dataclass(frozen=True)
class Prepared:
    """Preprocessing that was fitted on some of the rows, applied to all.

    Attributes:
        preprocessing: of the features.
        target: transform of the target.
        further: transforms of the further ones.
        features: float32 [n, F].
        gaps: bool [n] by reason, which listings lack what.
        goal: what is learned.
        fitting: the same as the nets learn it, whose weights may make classes count alike.
        offset: float64 [O], what that adds to their scores.
    """

    preprocessing: Preprocessing
    target: TargetTransform
    features: Matrix
    gaps: dict[str, Mask]
    goal: Goal
    fitting: Goal
    offset: Floats
    further: Mapping[str, TargetTransform] = field(default_factory=dict)


def gather(
    examples: Examples,
    known: Rows,
    job: TrainJob,
    design: Design,
    embedded: Embedded | None,
    folder: Path,
    progress: Progress,
    state: State = NOTHING_KEPT,
) -> Data:
    """Choose the feature columns and how each target is learned, by the rows to learn from, `known`: int64 [m].

    Raises:
        SettingsError: a named column does not exist, or none is left; or the target cannot be learned so.
        ContractError: a named column can be no feature.
    """
    columns = select_features(examples.table.take(pa.array(known)), examples.partitions, job, progress)
    named = objective_of(job, examples.classes).classes
    kind: Kind = "identity" if named else _kind(examples.target, known, job.target, job)
    further = {name: _kind(target, known, name, job) for name, target in examples.further.items()}
    return Data(examples, job, design, columns, kind, embedded, folder, state, further_kinds=further)


def prepare(data: Data, rows: Rows) -> Prepared:
    """Fit features and targets on these rows alone, and transform all of them."""
    known = data.examples.table.take(pa.array(rows))
    job = data.job
    encodings = Encodings(job.logarithms, job.categories, job.prefixes, bounded=True)
    preprocessing = fit_preprocessing(known, data.columns, job.scaler, job.max_categories, encodings)
    features, gaps = transform_table(preprocessing, data.examples.table)
    objective, examples = data.objective, data.examples
    target = objective.transform(examples.target[rows], data.kind)
    kinds, given = data.further_kinds, examples.further
    further = {name: TargetTransform.fit(given[name][rows], kind) for name, kind in kinds.items()}
    others = [transform.forward(given[name])[:, None] for name, transform in further.items()]
    values = np.concatenate([objective.goal(examples.target, target), *others], axis=1)
    goal = Goal(values, examples.weight(np.arange(len(examples))), objective)
    fitting, offset = goal.balanced(rows) if job.class_weight == "balanced" else (goal, np.zeros(goal.width))
    return Prepared(preprocessing, target, features, gaps, goal, fitting, offset, further)


def hold_out(examples: Examples, job: TrainJob, progress: Progress) -> tuple[Rows, Rows]:
    """Rows to learn from, and rows to test on, by lot or by time; what hangs together stays on one side.

    Raises:
        InputError: one side is empty, or nothing is left to stop by.
    """
    if examples.times is None:
        shares = {"validation_share": job.validation_share, "test_share": job.test_share}
        split = split_groups(examples.groups, **shares, seed=job.seed)
        _insist_on_rows(split, examples, job)
    else:
        # What stops a net is dealt out among the earlier listings by lot: the latest of them are worth learning from.
        split = split_by_time(examples.groups, examples.times, validation_share=0.0, test_share=job.test_share)
        _insist_on_moments(split, examples, examples.times, job)
    known = np.sort(np.concatenate([split.training, split.validation]))
    progress(f"{len(known):,} listings to learn from, {len(split.test):,} to test.")
    return known, split.test


def stopping_split(data: Data, rows: Rows, seed: int) -> Split:
    """Of the rows to learn from, some whole groups that decide when to stop; none to test."""
    share = data.job.validation_share / (1 - data.job.test_share)
    split = split_groups(data.examples.groups[rows], validation_share=share, test_share=0.0, seed=seed)
    if not len(split.validation):
        raise InputError(
            f"No group of the {len(rows):,} listings is small enough to be the {share:.0%} that decide when to stop."
            " No bundle was written. Give more listings or a larger validation_share."
        )
    return Split(rows[split.training], rows[split.validation], rows[split.test])


def _kind(target: Floats, known: Rows, name: str, job: TrainJob) -> Kind:
    """How targets are learned; auto is decided, by how skewed those are that are learned from."""
    return "log" if TargetTransform.fit(target[known], _transform_kind(target, name, job)).kind == "log" else "identity"


def _transform_kind(target: Floats, name: str, job: TrainJob) -> Literal["auto", "identity", "log"]:
    """The setting, as far as all targets allow: one of zero among the test rows has no logarithm either."""
    if bool((target > 0).all()):
        return job.target_transform
    if job.target_transform == "log":
        raise SettingsError(
            f"target_transform is log, but {np.count_nonzero(target <= 0):,} targets in {name!r} are zero or"
            " less. Nothing was trained. Use identity or auto, or make those targets null to leave them out."
        )
    return "identity"


def _insist_on_rows(split: Split, examples: Examples, job: TrainJob) -> None:
    if len(split.training) and len(split.validation) and len(split.test):
        return
    groups, sizes = np.unique(examples.groups, return_counts=True)
    raise InputError(
        f"{len(examples):,} listings form {len(groups):,} groups that share an id, an image or a group, the largest"
        f" with {sizes.max():,}. With validation_share {job.validation_share} and test_share {job.test_share} that"
        f" leaves {len(split.training):,} listings to train on, {len(split.validation):,} to stop by and"
        f" {len(split.test):,} to test, and none may be 0. Nothing was trained. Give more listings or larger shares;"
        " if a placeholder image ties the listings together, take it out of image_uris."
    )


def _insist_on_moments(split: Split, examples: Examples, times: Rows, job: TrainJob) -> None:
    if len(split.training) and len(split.test):
        return
    moments, sizes = np.unique(latest_times(examples.groups, times), return_counts=True)
    raise InputError(
        f"{len(examples):,} listings are from {len(moments):,} moments in {job.time_column!r}, a listing being as late"
        f" as the latest that it shares an id, an image or a group with; {sizes[-1]:,} are of the last one. With"
        f" test_share {job.test_share} that leaves {len(split.training):,} listings to learn from and"
        f" {len(split.test):,} to test, and neither may be 0. Nothing was trained. Set a test_share that the last"
        " moment fits in, or name a column that tells the listings apart by time."
    )
