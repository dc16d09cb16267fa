"""Examples to what the networks take: split, preprocessing and target transform, fitted on the training rows alone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from scorer.errors import InputError, SettingsError
from scorer.model.preprocessing import Mask, Preprocessing
from scorer.model.target import Floats, TargetTransform
from scorer.settings import TrainJob
from scorer.training.examples import Examples
from scorer.training.features import fit_preprocessing, select_features, transform_table
from scorer.training.fit import Inputs
from scorer.training.split import Split, split_groups


@dataclass(frozen=True)
class Prepared:
    """Everything that a network is fitted and measured with.

    Attributes:
        examples: the listings.
        split: which of them are for what.
        preprocessing: of the features.
        gaps: bool [n] by reason, which listings lack what.
        target: transform of the target.
        inputs: of all listings.
    """

    examples: Examples
    split: Split
    preprocessing: Preprocessing
    gaps: dict[str, Mask]
    target: TargetTransform
    inputs: Inputs


def prepare(examples: Examples, job: TrainJob, progress: Callable[[str], None]) -> Prepared:
    """Split by groups, then fit features and target on the training rows.

    Raises:
        InputError: one side of the split is empty.
        SettingsError: a named column does not exist, or none is left.
        ContractError: a named column can be no feature.
    """
    shares = {"validation_share": job.validation_share, "test_share": job.test_share}
    split = split_groups(examples.groups, **shares, seed=job.seed)
    _insist_on_rows(split, examples, job)
    progress(
        f"{len(split.training):,} listings to train on, {len(split.validation):,} to stop by,"
        f" {len(split.test):,} to test."
    )
    known = examples.table.take(pa.array(split.training))
    names = select_features(known, examples.partitions, job, progress)
    preprocessing = fit_preprocessing(known, names, job.scaler, job.max_categories)
    features, gaps = transform_table(preprocessing, examples.table)
    target = TargetTransform.fit(examples.target[split.training], _transform_kind(examples.target, job))
    inputs = Inputs(features, examples.images, examples.cache.pixels, target.forward(examples.target))
    return Prepared(examples, split, preprocessing, gaps, target, inputs)


def _transform_kind(target: Floats, job: TrainJob) -> Literal["auto", "identity", "log"]:
    """The setting, as far as all targets allow: one of zero among the test rows has no logarithm either."""
    if bool((target > 0).all()):
        return job.target_transform
    if job.target_transform == "log":
        raise SettingsError(
            f"target_transform is log, but {np.count_nonzero(target <= 0):,} targets in {job.target!r} are zero or"
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
