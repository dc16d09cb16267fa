"""Classes from the listings' column to the rows that readers get."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from scorer import score_partition
from scorer.model.bundle import load_bundle
from scorer.objectstore import ObjectStore
from scorer.settings import Job
from scorer.training.train import train
from tests.training.listings import job, rows_with_images, write_listings

STORE = ObjectStore()


@pytest.mark.parametrize("names", [("cheap", "dear"), ("cheap", "dear", "fair")], ids=["two", "three"])
def test_a_bundle_of_classes_scores_a_partition_with_calibrated_probabilities_and_class_names(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    market = tmp_path / "market"
    rows = rows_with_images(market, 200)
    prices = np.array([row.pop("price") for row in rows])
    edges = np.quantile(prices, np.linspace(0, 1, len(names) + 1)[1:-1])
    for row, place in zip(rows, np.searchsorted(edges, prices), strict=True):
        row["level"] = names[place]
    write_listings(market, rows)
    settings = job(market, target="level", fusion="late_gate", bundle=str(tmp_path / "bundle"), epochs=12)
    report = train(settings, STORE, lambda line: None)
    bundle = load_bundle(report.uri, STORE)
    assert bundle.readout.classes == names
    assert bundle.readout.calibration is not None
    test = report.metrics["test"]
    assert test["numbers and images"]["log_loss"] < test["constant (frequencies)"]["log_loss"]
    assert "log loss" in report.text
    assert "Probabilities are calibrated by temperature" in report.text
    places = {"listings": str(market), "bundle": report.uri, "predictions": str(tmp_path / "predictions")}
    score_partition(Job.model_validate({"partition": "ds=2026-11-20", "gates": {"enforce": False}, **places}))
    table = pq.read_table(str(tmp_path / "predictions/ds=2026-11-20")).to_pydict()
    told = np.array(table["prediction"])
    assert len(told) == 100
    assert ((told > 0) & (told < 1)).all()
    if len(names) == 2:
        expected = np.where(told >= 0.5, "dear", "cheap")
    else:
        each = np.stack([table[f"prediction_p_{name}"] for name in names], axis=1)
        np.testing.assert_allclose(each.sum(axis=1), 1)
        np.testing.assert_allclose(each.max(axis=1), told)
        expected = np.array(names)[each.argmax(axis=1)]
    assert table["prediction_class"] == expected.tolist()
    truth = {row["listing_id"]: row["level"] for row in rows}
    right = np.mean(
        [truth[key] == said for key, said in zip(table["listing_id"], table["prediction_class"], strict=True)]
    )
    assert right > 1.3 / len(names)
