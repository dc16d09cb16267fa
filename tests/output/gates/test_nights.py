"""The gates on whole nights: silent as long as nothing happens, and outspoken about what does."""

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from scorer.output.gates import GATES, judge
from scorer.output.gates.facts import Facts
from scorer.output.gates.feature_drift import IMAGES
from scorer.output.gates.verdict import Verdict
from scorer.settings import Gates
from tests.output.gates.market import after, night

NIGHTS = 20


def verdicts(facts: Facts) -> dict[str, Verdict]:
    return {verdict.gate: verdict for verdict in judge(facts, Gates(), "somebody")}


@pytest.mark.parametrize("rows", [200, 20_000])
def test_on_nights_without_any_shift_no_gate_cries(rows: int) -> None:
    nights = [night(seed, rows) for seed in range(NIGHTS)]
    for number, facts in enumerate(nights):
        before = nights[max(number - 1, 0) : number] + nights[max(number - 7, 0) : max(number - 6, 0)]
        said = verdicts(after(facts, *before))
        assert {name: one.reason for name, one in said.items() if one.status not in ("pass", "not judged")} == {}
        unjudged = {name for name, one in said.items() if one.status == "not judged"}
        assert unjudged == ({"freshness"} if number else {"freshness", "rows", "score_shift"})


@pytest.mark.parametrize("rows", [200, 20_000])
def test_a_feature_in_another_unit_is_named(rows: int) -> None:
    def in_square_feet(table: pa.Table) -> pa.Table:
        return table.set_column(0, "area", pc.multiply(table.column("area"), 10.76))

    said = verdicts(after(night(1, rows, in_square_feet), night(0, rows)))
    assert {name for name, one in said.items() if one.status == "fail"} == {"feature_drift"}
    assert said["feature_drift"].about == "area"
    assert next(iter(said["feature_drift"].details)) == "area"


@pytest.mark.parametrize("rows", [200, 20_000])
def test_a_column_that_lost_a_third_of_its_values_is_named(rows: int) -> None:
    def gaps(table: pa.Table) -> pa.Table:
        there = pa.array([row % 3 > 0 for row in range(len(table))])
        return table.set_column(4, "garden", pc.if_else(there, table.column("garden"), None))

    said = verdicts(after(night(1, rows, gaps), night(0, rows)))
    assert said["feature_drift"].status == "fail"
    assert "garden against the training" in said["feature_drift"].reason
    assert "most at missing values" in said["feature_drift"].reason


@pytest.mark.parametrize("rows", [200, 20_000])
def test_listings_that_lost_their_images_are_noticed_although_no_image_failed(rows: int) -> None:
    said = verdicts(after(night(1, rows, photographed=0.7), night(0, rows)))
    assert {name for name, one in said.items() if one.status == "fail"} == {"feature_drift"}
    assert said["feature_drift"].about == IMAGES


@pytest.mark.parametrize("rows", [200, 20_000])
def test_shifted_scores_are_noticed_against_the_last_night_and_against_the_training(rows: int) -> None:
    said = verdicts(after(night(1, rows, factor=1.8), night(0, rows)))
    assert {name for name, one in said.items() if one.status == "fail"} == {"score_shift", "score_drift"}
    assert "predictions against ds=1 before" in said["score_shift"].reason
    assert "predictions against the training" in said["score_drift"].reason


@pytest.mark.parametrize("rows", [200, 20_000])
def test_twice_the_rows_are_noticed_whatever_their_ids(rows: int) -> None:
    said = verdicts(after(night(1, 2 * rows), night(0, rows)))
    assert {name for name, one in said.items() if one.status == "fail"} == {"rows"}
    said = verdicts(after(night(1, rows), night(0, 2 * rows)))
    assert {name for name, one in said.items() if one.status == "fail"} == {"rows"}


def test_every_gate_has_settings_of_its_own_and_the_table_names_them() -> None:
    assert list(GATES) == [name for name in Gates.model_fields if name not in ("enforce", "override", "by")]
