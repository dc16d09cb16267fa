"""Each gate by itself: what it lets pass, what it stops, and what it says then."""

from dataclasses import replace
from typing import Any

import pytest

from scorer.errors import SettingsError
from scorer.output.distribution import Distribution, Distributions, ScoreDistribution
from scorer.output.gates import GATES, judge
from scorer.output.gates.facts import Earlier, Facts
from scorer.output.gates.verdict import Verdict
from scorer.output.tally import Tally
from scorer.settings import Gates, Job, load

GOOD = Tally(rows_in=1000, scored=1000, images_given=3000, images_used=3000, images_read=3000)


def facts(before: Tally | None = GOOD, **counts: Any) -> Facts:
    """A good night of 1,000 rows after another, with some counts changed."""
    earlier = () if before is None else (Earlier("ds=2026-11-23", "run-1", "b", before, Distributions()),)
    return Facts("b", GOOD.model_copy(update=counts), Distributions(), Distributions(), earlier)


def verdict(gate: str, judged: Facts, **settings: Any) -> Verdict:
    found = GATES[gate](judged, getattr(Gates.model_validate({gate: settings}), gate))
    assert found.gate == gate
    return found


def status(gate: str, judged: Facts, **settings: Any) -> str:
    return verdict(gate, judged, **settings).status


def test_quarantined_rows_are_stopped_by_the_contract() -> None:
    reasons = {"id_missing": 10, "id_duplicated": 90}
    assert status("contract", facts()) == "pass"
    assert status("contract", facts(quarantined=25)) == "warn"
    found = verdict("contract", facts(scored=900, quarantined=100, quarantine_reasons=reasons))
    assert (found.status, found.about, found.measured) == ("fail", "id_duplicated", 0.1)
    assert "100 of 1,000 rows were quarantined: id_duplicated 90, id_missing 10 (10.0%, limit 7.1%)" in found.reason
    assert found.details == {"id_duplicated": 0.09, "id_missing": 0.01}


def test_one_bad_row_of_ten_says_nothing_yet() -> None:
    assert status("contract", facts(rows_in=10, quarantined=1)) == "pass"
    assert status("contract", facts(rows_in=10, quarantined=6)) == "fail"


@pytest.mark.parametrize(
    ("rows", "said"), [(1000, "pass"), (1600, "warn"), (2000, "fail"), (650, "warn"), (500, "fail")]
)
def test_twice_and_half_the_rows_are_stopped(rows: int, said: str) -> None:
    assert status("rows", facts(rows_in=rows)) == said


def test_the_number_of_rows_may_be_like_a_week_ago() -> None:
    monday = facts(rows_in=2000)
    week_ago = Earlier("ds=2026-11-17", "run-0", "b", GOOD.model_copy(update={"rows_in": 1900}), Distributions())
    assert status("rows", monday) == "fail"
    found = verdict("rows", replace(monday, earlier=(*monday.earlier, week_ago)))
    assert (found.status, found.about) == ("pass", "ds=2026-11-17")


def test_the_number_of_rows_of_a_first_partition_is_not_judged() -> None:
    assert "no earlier partition is published" in verdict("rows", facts(before=None)).reason


def test_between_a_handful_of_rows_twice_as_many_mean_nothing() -> None:
    few = GOOD.model_copy(update={"rows_in": 10})
    assert status("rows", facts(before=few, rows_in=20)) == "pass"
    assert status("rows", facts(before=few, rows_in=200)) == "fail"


def test_degraded_rows_are_judged_by_their_share_and_by_its_rise() -> None:
    usual = GOOD.model_copy(update={"degraded": 500, "scored": 500})
    now: dict[str, Any] = {"scored": 450, "degraded": 550, "reasons": {"no_images": 50, "feature_missing": 520}}
    assert status("degraded", facts(before=usual, **now)) == "pass"
    found = verdict("degraded", facts(**now))
    assert (found.status, found.about) == ("fail", "feature_missing")
    assert "550 of 1,000 rows are degraded, by feature_missing 520, no_images 50, up from 0.0%" in found.reason
    assert status("degraded", facts(before=usual, scored=20, degraded=980)) == "fail"
    assert status("degraded", facts(before=None, scored=20, degraded=980)) == "fail"


def test_rows_without_a_prediction_are_stopped() -> None:
    assert status("failed", facts()) == "pass"
    assert status("failed", facts(scored=995, failed=5)) == "warn"
    assert status("failed", facts(scored=970, failed=30)) == "fail"


def test_image_failures_are_judged_reason_by_reason() -> None:
    assert status("images", facts(faults={"image_corrupt": 30})) == "pass"
    assert status("images", facts(faults={"image_corrupt": 200, "image_not_found": 200})) == "warn"
    found = verdict("images", facts(faults={"image_corrupt": 200, "image_not_found": 900}))
    assert (found.status, found.about, found.measured) == ("fail", "image_not_found", 0.3)
    assert found.details == {"image_not_found": 0.3, "image_corrupt": pytest.approx(1 / 15, abs=1e-5)}
    assert "900 of 3,000 images (30.0%, limit" in found.reason
    assert "Were the images of this partition uploaded?" in found.reason


def test_a_reason_of_image_failures_may_have_limits_of_its_own() -> None:
    night = facts(faults={"image_corrupt": 900, "image_forbidden": 100})
    own = {"image_corrupt": {}, "image_forbidden": {"fail": 0.01}}
    found = verdict("images", night, reasons=own)
    assert (found.status, found.about) == ("fail", "image_forbidden")


def test_predictions_far_outside_what_training_saw_are_stopped() -> None:
    def spread(below: int, above: int) -> Facts:
        histogram = Distribution(edges=(100.0,), counts=(500, 500))
        scores = ScoreDistribution(
            histogram=histogram, low=10.0, high=300.0, below=below, above=above, minimum=1.0, maximum=9e6
        )
        return replace(facts(), distributions=Distributions(scores=scores))

    assert status("range", spread(0, 1)) == "pass"
    assert status("range", spread(0, 10)) == "warn"
    found = verdict("range", spread(4, 40))
    assert (found.status, found.about) == ("fail", "above")
    assert "44 of 1,000 predictions lie outside 10 to 300" in found.reason
    assert "they go from 1 to 9e+06" in found.reason


def test_stale_input_is_stopped_where_the_gate_is_on() -> None:
    assert status("freshness", replace(facts(), input_age=None)) == "not judged"
    assert status("freshness", replace(facts(), input_age=5.0), fail=24) == "pass"
    found = verdict("freshness", replace(facts(), input_age=30.0), fail=24)
    assert found.status == "fail"
    assert "written 30.0 hours ago (30.0 h, limit 24.0 h)" in found.reason


def test_without_a_profile_in_the_bundle_drift_is_not_judged_and_says_so() -> None:
    judged = {name: verdict(name, facts(before=None)) for name in ("range", "score_drift", "feature_drift")}
    assert {one.status for one in judged.values()} == {"not judged"}
    assert all("the bundle" in one.reason for one in judged.values())


def test_scores_of_another_bundle_with_other_bins_are_not_compared() -> None:
    def scored(edge: float) -> Distributions:
        histogram = Distribution(edges=(edge,), counts=(500, 500))
        return Distributions(scores=ScoreDistribution(histogram=histogram))

    last = Earlier("ds=2026-11-23", "run-1", "old", GOOD, scored(1.0))
    found = verdict("score_shift", replace(facts(), distributions=scored(2.0), earlier=(last,)))
    assert found.status == "not judged"
    assert "ds=2026-11-23 was scored by another bundle" in found.reason


def test_a_night_of_refused_rows_alone_stops_at_the_contract_and_confuses_no_other_gate() -> None:
    empty = facts(scored=0, quarantined=1000, images_given=0, images_used=0, images_read=0)
    said = {one.gate: one.status for one in judge(empty, Gates(), "somebody")}
    assert said["contract"] == "fail"
    assert {status for gate, status in said.items() if gate != "contract"} <= {"pass", "not judged"}


def test_a_failure_says_how_to_publish_all_the_same() -> None:
    (found,) = (one for one in judge(facts(rows_in=2000), Gates(), "somebody") if one.gate == "rows")
    assert "--set gates.override.rows='WHY'" in found.reason
    assert "nothing is scored again" in found.reason


def test_an_override_publishes_and_keeps_who_and_why() -> None:
    gates = Gates(override={"rows": "Black Friday", "failed": "known"})
    said = {one.gate: one for one in judge(facts(rows_in=2000), gates, "night-job")}
    assert (said["rows"].status, said["rows"].by, said["rows"].why) == ("overridden", "night-job", "Black Friday")
    assert said["failed"].status == "pass"
    by_name = Gates(override={"rows": "Black Friday"}, by="Ada")
    assert {one.gate: one for one in judge(facts(rows_in=2000), by_name, "night-job")}["rows"].by == "Ada"


def test_gates_that_are_not_enforced_warn() -> None:
    said = {one.gate: one for one in judge(facts(rows_in=2000), Gates(enforce=False), "somebody")}
    assert said["rows"].status == "warn"
    assert "2,000 rows, more than the 1,000 of ds=2026-11-23" in said["rows"].reason


def test_a_limit_can_be_moved_and_taken_away() -> None:
    assert status("rows", facts(rows_in=2000), fail=3) == "warn"
    assert status("rows", facts(rows_in=2000), fail="off", warn=None) == "pass"


@pytest.mark.parametrize(
    ("flag", "value", "said"),
    [
        ("gates.override.rowz", "because", "there is no gate rowz to override. Known: contract, degraded"),
        ("gates.override.rows", " ", "say why rows may be overridden"),
        ("gates.rows.fial", "2", "gates.rows.fial: unknown setting. Known here: fail, warn"),
        ("gates.rows.fail", "-1", "greater than or equal to 0"),
    ],
)
def test_settings_of_gates_that_make_no_sense_are_answered(flag: str, value: str, said: str) -> None:
    places = {"listings": "l", "bundle": "b", "predictions": "p"}
    with pytest.raises(SettingsError, match=said):
        load(Job, environ={}, flags={**places, flag: value})


def test_gates_leave_the_work_the_same() -> None:
    places = {"listings": "l", "bundle": "b", "predictions": "p"}
    strict = load(Job, environ={}, flags={**places, "gates.rows.fail": "1.1", "gates.override.images": "known"})
    assert strict.fingerprint() == load(Job, environ={}, flags=places).fingerprint()
