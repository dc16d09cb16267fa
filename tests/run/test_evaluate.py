"""Labels that arrive late against what was published: what is counted, what is left out, and the figures."""

import gzip
import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from scorer.cli import app
from scorer.errors import ContractError, InputError, NothingToDo, SettingsError
from scorer.model.readout import Meaning
from scorer.objectstore import join
from scorer.run.accuracy import accuracy, interval
from scorer.run.evaluate import NONE, OTHERS, SEGMENTS, Evaluation, classes, evaluate
from scorer.run.labels import read_labels
from scorer.settings import Housekeeping
from tests.conftest import Bucket
from tests.run.nights import STORE, publish

NIGHTS = ("ds=2026-11-01", "ds=2026-11-02", "ds=2026-11-03")
PRICES = {"a": 100.0, "b": 200.0, "c": 400.0}


@pytest.fixture
def root(tmp_path: Path) -> str:
    """Three nights; each predicts 10 more than the one before, and c fails in the last one."""
    for number, night in enumerate(NIGHTS):
        scores = {name: price + 10 * (number + 1) for name, price in PRICES.items()}
        publish(str(tmp_path), night, scores | ({"c": float("nan")} if number == 2 else {}) | {"unsold": 7.0})
    return str(tmp_path)


def write(root: str, rows: list[dict[str, Any]], name: str = "labels.parquet") -> str:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    STORE.put(join(root, name), sink.getvalue().to_pybytes())
    return join(root, name)


def sales(root: str, **columns: list[Any]) -> str:
    """What the three listings were sold for."""
    rows = [{"listing_id": name, "price": price} for name, price in PRICES.items()]
    return write(
        root, [{**row, **{name: values[at] for name, values in columns.items()}} for at, row in enumerate(rows)]
    )


def evaluated(root: str, labels: str, *, time: str | None = None, **options: Any) -> Evaluation:
    known = read_labels(labels, "price", STORE, id_column="listing_id", time=time, by=options.get("by", ()))
    return evaluate(Housekeeping(predictions=join(root, "predictions")), known, STORE, **options)


def test_the_error_of_every_night_is_told_with_how_many_of_its_predictions_have_a_label(root: str) -> None:
    found = evaluated(root, sales(root))
    assert [(one.name, one.predictions, one.errors.n) for one in found.partitions] == [
        (NIGHTS[0], 4, 3),
        (NIGHTS[1], 4, 3),
        (NIGHTS[2], 3, 2),
    ]
    assert [one.errors.mae for one in found.partitions] == [10.0, 20.0, 30.0]
    assert [one.errors.bias for one in found.partitions] == [10.0, 20.0, 30.0]
    assert found.partitions[0].errors.mape == pytest.approx((10 + 5 + 2.5) / 3)
    assert found.partitions[0].errors.median_ape == 5.0
    assert found.overall.mae == pytest.approx((3 * 10 + 3 * 20 + 2 * 30) / 8)
    assert (found.failed, found.predictions_without_label, found.labels_without_prediction) == (1, 3, 0)


def test_a_further_output_is_held_against_labels_in_place_of_the_main_one(tmp_path: Path) -> None:
    publish(str(tmp_path), NIGHTS[0], PRICES, told={"scores": {"days": np.array([101.0, 202.0, 403.0])}})
    labels = sales(str(tmp_path))
    assert evaluated(str(tmp_path), labels).overall.mae == 0
    assert evaluated(str(tmp_path), labels, output="days").overall.mae == pytest.approx(2.0)
    with pytest.raises(SettingsError, match=r"the predictions of ds=2026-11-01 have no column 'prediction_weeks'"):
        evaluated(str(tmp_path), labels, output="weeks")


def test_classes_have_no_further_outputs(tmp_path: Path) -> None:
    publish(str(tmp_path), NIGHTS[0], {"a": 0.5}, meaning=Meaning(task="binary", classes=("no", "yes")))
    with pytest.raises(SettingsError, match="'days' is none of these predictions'"):
        evaluated(str(tmp_path), write(str(tmp_path), [{"listing_id": "a", "price": 1.0}]), output="days")


def test_labels_that_nobody_predicted_are_counted_and_not_only_dropped(root: str) -> None:
    labels = write(root, [{"listing_id": "a", "price": 1.0}, {"listing_id": "elsewhere", "price": 1.0}])
    found = evaluated(root, labels)
    assert (found.labels, found.labels_without_prediction, found.overall.n) == (2, 1, 3)


def test_a_prediction_of_a_later_day_than_its_label_does_not_count(root: str) -> None:
    labels = sales(root, sold=[date(2026, 11, 1), date(2026, 11, 2), None])
    found = evaluated(root, labels, time="sold")
    assert [one.errors.n for one in found.partitions] == [3, 2, 0]
    assert (found.known_before, found.predictions_without_label) == (3, 3)
    assert found.partitions[2].errors.mae is None


def test_of_several_labels_of_a_listing_the_latest_counts(root: str) -> None:
    rows: list[dict[str, Any]] = [
        {"listing_id": "a", "price": 3.0, "sold": "2026-12-03"},
        {"listing_id": "a", "price": 1.0, "sold": "2026-12-01T10:00:00"},
        {"listing_id": None, "price": 1.0, "sold": "2026-12-01"},
        {"listing_id": "b", "price": float("nan"), "sold": "2026-12-01"},
    ]
    labels = write(root, rows)
    known = read_labels(labels, "price", STORE, id_column="listing_id", time="sold")
    assert (known.ids.to_pylist(), known.values.tolist(), known.repeated, known.unusable) == (["a"], [3.0], 1, 2)
    untimed = read_labels(labels, "price", STORE, id_column="listing_id")
    assert untimed.values.tolist() == [1.0]


def test_segments_come_from_labels_predictions_or_listings(root: str) -> None:
    for night in NIGHTS:
        write(
            root,
            [{"listing_id": "a", "city": "Lyon"}, {"listing_id": "b", "city": "Porto"}],
            f"listings/{night}/x.parquet",
        )
    labels = sales(root, channel=["web", "web", "shop"])
    found = evaluated(root, labels, by=("channel", "status", "city"), listings=join(root, "listings"))
    shown = {name: {one.name: one.errors.n for one in slices} for name, slices in found.segments.items()}
    assert shown == {
        "channel": {"web": 6, "shop": 2},
        "status": {"scored": 8},
        "city": {"Lyon": 3, "Porto": 3, NONE: 2},
    }
    with pytest.raises(SettingsError, match=r"column city\. Say where the listings are with --listings"):
        evaluated(root, labels, by=("city",))
    with pytest.raises(SettingsError, match=r"column colour; nor do the listings of ds=2026-11-01"):
        evaluated(root, labels, by=("colour",), listings=join(root, "listings"))


def test_of_very_many_segments_the_largest_are_shown_and_none_is_lost(tmp_path: Path) -> None:
    ids = [f"home-{number}" for number in range(100)]
    publish(str(tmp_path), NIGHTS[0], dict.fromkeys(ids, 1.0))
    rows = [{"listing_id": name, "price": 2.0, "street": f"s{max(0, at - 50)}"} for at, name in enumerate(ids)]
    found = evaluated(str(tmp_path), write(str(tmp_path), rows), by=("street",))
    slices = found.segments["street"]
    assert (slices[0].name, slices[0].errors.n) == ("s0", 51)
    assert (len(slices), slices[-1].name) == (SEGMENTS + 1, OTHERS)
    assert sum(one.errors.n for one in slices) == 100


def test_readers_predictions_are_judged_those_of_the_current_version(root: str) -> None:
    publish(root, NIGHTS[0], PRICES, run_id="better")
    found = evaluated(root, sales(root))
    assert found.partitions[0].errors.mae == 0.0
    assert [one.name for one in evaluated(root, sales(root), last=2).partitions] == list(NIGHTS[1:])


def test_csv_keeps_ids_as_text_and_booleans_count_as_0_and_1(tmp_path: Path) -> None:
    publish(str(tmp_path), NIGHTS[0], {"007": 0.75, "7": 0.5})
    text = b"id,clicked,when\n007,true,2026-11-05\n7,false,2026-11-06\n"
    STORE.put(join(str(tmp_path), "labels/one.csv"), text)
    STORE.put(join(str(tmp_path), "labels/two.csv.gz"), gzip.compress(b"id,clicked,when\n9,true,2026-11-07\n"))
    known = read_labels(join(str(tmp_path), "labels"), "clicked", STORE, id_column="id", time="when")
    found = evaluate(Housekeeping(predictions=join(str(tmp_path), "predictions")), known, STORE)
    assert found.overall.mae == pytest.approx((0.25 + 0.5) / 2)
    assert found.overall.mape == 25.0
    assert found.labels_without_prediction == 1


def test_labels_and_predictions_may_be_in_a_bucket(bucket: Bucket) -> None:
    publish(bucket.uri, NIGHTS[0], PRICES)
    assert evaluated(bucket.uri, sales(bucket.uri)).overall.mae == 0.0


@pytest.mark.parametrize(
    ("name", "data", "error", "said"),
    [
        ("labels.csv", b"listing_id,cost\na,1\n", ContractError, "has no column price. It has: listing_id, cost"),
        ("labels.csv", b"listing_id,price\na,cheap\n", ContractError, "column price is string and cannot be read as"),
        ("labels.parquet", b"broken", InputError, "cannot be read"),
        ("labels.txt", b"", InputError, r"There is no \.parquet, \.csv, \.csv\.gz file"),
        ("labels.csv", b"listing_id,price\na,\n", NothingToDo, "no usable row"),
    ],
)
def test_labels_that_cannot_be_used_are_refused_with_the_reason(
    root: str, name: str, data: bytes, error: type[Exception], said: str
) -> None:
    STORE.put(join(root, name), data)
    with pytest.raises(error, match=said):
        evaluated(root, join(root, name))


def test_the_interval_holds_the_mean_narrows_with_more_listings_and_is_the_same_every_time() -> None:
    random = np.random.default_rng(1)

    def measured(number: int) -> Any:
        actual = np.zeros(number)
        return accuracy(actual, random.exponential(5.0, number), np.arange(number))

    few, many = measured(50), measured(20_000)
    for found in (few, many):
        assert found.low < found.mae < found.high
    assert many.high - many.low < (few.high - few.low) / 5
    assert abs(many.mae - 5.0) < 0.2
    assert many.mape is None
    again = accuracy(np.zeros(9), np.arange(9.0), np.arange(9))
    assert again == accuracy(np.zeros(9), np.arange(9.0), np.arange(9))


def test_a_listing_seen_every_night_does_not_count_as_many() -> None:
    error = np.repeat([1.0, 5.0, 9.0], 100)

    def width(listing: Any) -> float:
        low, high = interval(error, listing)
        return high - low

    assert width(np.repeat([0, 1, 2], 100)) > 4 * width(np.arange(300))


def test_the_command_prints_tables_or_json(root: str) -> None:
    arguments = ["evaluate", "--predictions", join(root, "predictions"), "--labels", sales(root), "--target", "price"]
    found = CliRunner().invoke(app, [*arguments, "--by", "status"])
    assert found.exit_code == 0, found.output
    lines = found.stdout.splitlines()
    assert lines[0].split()[:5] == ["partition", "predictions", "labelled", "coverage", "MAE"]
    assert lines[1].split()[:5] == [NIGHTS[0], "4", "3", "75.0%", "10"]
    assert lines[4].split()[:4] == ["all", "11", "8", "72.7%"]
    assert lines[7].split()[:2] == ["scored", "8"]
    assert "3 without a label so far" in found.stderr
    plain = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert plain["overall"]["n"] == 8
    nowhere = CliRunner().invoke(app, ["evaluate", "--predictions", root + "/x", *arguments[3:]])
    assert nowhere.exit_code == 99
    assert "Nothing was ever published" in nowhere.stderr


def test_a_segment_steers_no_terminal(root: str) -> None:
    labels = sales(root, channel=["\x1b]52;c;eA==\x07", "web\nall  999", "web"])
    places = ["--predictions", join(root, "predictions"), "--labels", labels, "--target", "price"]
    found = CliRunner().invoke(app, ["evaluate", *places, "--by", "channel"])
    assert found.exit_code == 0, found.output
    assert "\x1b" not in found.stdout
    assert not any(line.startswith("all  999") for line in found.stdout.splitlines())


def test_evaluating_imports_neither_tensorflow_nor_pandas(root: str) -> None:
    program = (
        "import sys; from scorer.cli import app; app(sys.argv[1:], standalone_mode=False);"
        "print([name for name in ('tensorflow', 'pandas', 'sklearn') if name in sys.modules])"
    )
    labels = sales(root, sold=[date(2026, 11, 1)] * 3, channel=["x"] * 3)
    arguments = ["--predictions", join(root, "predictions"), "--labels", labels, "--target", "price"]
    more = ["--time", "sold", "--by", "channel", "--by", "status"]
    command = [sys.executable, "-c", program, "evaluate", *arguments, *more]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.stdout.splitlines()[-1] == "[]", (found.stdout, found.stderr)


# --- intervals and classes

BINARY = Meaning(task="binary", classes=("stays", "sells"))
THREE = Meaning(task="multiclass", classes=("flat", "house", "plot"), outputs=("p_flat", "p_house", "p_plot"))


def labelled(root: str, target: str, values: list[Any]) -> Evaluation:
    """What the labels a, b, c, ... say of what was published."""
    wanted = Housekeeping(predictions=join(root, "predictions"))
    labels = write(root, [{"listing_id": name, target: value} for name, value in zip("abcdef", values, strict=False)])
    named = classes(wanted, None, STORE)
    known = read_labels(labels, target, STORE, id_column="listing_id", classes=named)
    return evaluate(wanted, known, STORE)


def test_the_share_of_labels_inside_the_intervals_is_told_beside_what_they_were_made_for(tmp_path: Path) -> None:
    scores = dict(zip("abcd", (100.0, 200.0, 300.0, 400.0), strict=True))
    low = np.array([90.0, 190.0, 290.0, np.nan])
    told = {"ends": {"prediction": (low, low + 20.0)}}
    publish(str(tmp_path), NIGHTS[0], scores, meaning=Meaning(level=0.9), told=told)
    coverage = labelled(str(tmp_path), "price", [90.0, 211.0, 310.0, 400.0]).overall.coverage
    assert coverage is not None
    assert (coverage.n, coverage.level) == (3, 0.9)
    assert coverage.share == pytest.approx(2 / 3)
    assert coverage.low <= coverage.share <= coverage.high


def test_predictions_without_intervals_have_no_coverage(root: str) -> None:
    assert evaluated(root, sales(root)).overall.coverage is None


@pytest.mark.parametrize("values", [["sells", "stays", "sells", "gone"], [True, False, True, None], [1, 0, 1, 2]])
def test_two_classes_are_known_by_name_or_as_booleans_or_numbers(tmp_path: Path, values: list[Any]) -> None:
    scores = dict(zip("abcd", (0.9, 0.2, 0.4, 0.5), strict=True))
    publish(str(tmp_path), NIGHTS[0], scores, meaning=BINARY)
    found = labelled(str(tmp_path), "sold", values)
    told = found.overall.classes
    assert told is not None
    assert (found.labels, found.labels_unusable, told.n, told.auc) == (3, 1, 3, 1.0)
    assert told.accuracy == pytest.approx(2 / 3)
    assert told.brier == pytest.approx((0.1**2 + 0.2**2 + 0.6**2) / 3)
    assert told.log_loss == pytest.approx(-np.log([0.9, 0.8, 0.4]).mean())
    assert found.overall.mae is None


@pytest.mark.parametrize(
    ("names", "values"),
    [
        (("1", "2"), [1, 2, 2, 3]),
        (("1", "2"), [1.0, 2.0, 2.0, 0.0]),
        (("1", "2"), ["1", "2", "2", "3"]),
        (("0", "1"), [False, True, True, None]),
        (("1", "more"), ["1", "more", "more", "0"]),
        (("10000000000000001", "10000000000000002"), [10**16 + 1, 10**16 + 2, 10**16 + 2, 10**16]),
    ],
)
def test_classes_that_are_whole_numbers_are_known_by_them_and_not_by_their_place(
    tmp_path: Path, names: tuple[str, ...], values: list[Any]
) -> None:
    meaning = Meaning(task="binary", classes=names)
    publish(str(tmp_path), NIGHTS[0], dict(zip("abcd", (0.1, 0.9, 0.8, 0.5), strict=True)), meaning=meaning)
    found = labelled(str(tmp_path), "rooms", values)
    told = found.overall.classes
    assert told is not None
    assert (found.labels, found.labels_unusable, told.accuracy, told.auc) == (3, 1, 1.0, 1.0)


@pytest.mark.parametrize(("names", "values"), [(("1", "2"), [True, False]), (("1", "more"), [0, 2])])
def test_what_is_no_name_where_names_are_numbers_is_not_usable(
    tmp_path: Path, names: tuple[str, ...], values: list[Any]
) -> None:
    publish(str(tmp_path), NIGHTS[0], {"a": 0.1, "b": 0.9}, meaning=Meaning(task="binary", classes=names))
    with pytest.raises(NothingToDo, match="no usable row"):
        labelled(str(tmp_path), "rooms", values)


def test_several_classes_are_judged_by_the_probability_of_the_one_that_it_was(tmp_path: Path) -> None:
    each = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
    told = {"scores": {name: each[:, at] for at, name in enumerate(THREE.outputs)}, "classes": ["flat", "plot"]}
    publish(str(tmp_path), NIGHTS[0], {"a": 0.5, "b": 0.7}, meaning=THREE, told=told)
    found = labelled(str(tmp_path), "kind", ["flat", "house"]).overall.classes
    assert found is not None
    assert (found.n, found.accuracy) == (2, 0.5)
    assert found.log_loss == pytest.approx(-np.log([0.5, 0.2]).mean())


def test_nights_of_another_task_are_left_out_and_counted(tmp_path: Path) -> None:
    publish(str(tmp_path), NIGHTS[0], {"a": 100.0})
    publish(str(tmp_path), NIGHTS[1], {"a": 0.9}, meaning=BINARY)
    found = labelled(str(tmp_path), "sold", [True])
    assert (found.of_other_classes, [one.name for one in found.partitions]) == (1, [NIGHTS[1]])


def test_the_command_prints_what_fits_the_predictions(tmp_path: Path) -> None:
    publish(str(tmp_path), NIGHTS[0], {"a": 0.9, "b": 0.1}, meaning=BINARY)
    labels = write(str(tmp_path), [{"listing_id": "a", "sold": True}, {"listing_id": "b", "sold": False}])
    flags = ["--predictions", join(str(tmp_path), "predictions"), "--labels", labels, "--target", "sold"]
    said = CliRunner().invoke(app, ["evaluate", *flags])
    assert said.exit_code == 0, said.output
    assert "log loss" in said.stdout
    assert "MAE" not in said.stdout
