"""From runs to rates, from parts to the limit."""

import pytest

from benchmarks import limit, report, rounds
from benchmarks.limit import Parts
from benchmarks.rounds import Entry
from benchmarks.watch import Failed, Sample


def sample(wall_s: float, cpu_s: float = 0.0, peak_mib: float = 0.0) -> Sample:
    return Sample(wall_s, cpu_s, peak_mib, others_cpu_s=0.0)


def test_start_up_drops_out_of_rate_and_cpu_time() -> None:
    def run(images: int) -> Sample:
        return sample(wall_s=10 + images / 500, cpu_s=8 + images * 0.003, peak_mib=images)

    figures = rounds.alternate({"one": Entry(run, small=100)}, 1)["one"].figures()

    assert figures["images_per_s"] == pytest.approx(500)
    assert figures["cpu_ms_per_image"] == pytest.approx(3)
    assert figures["start_up_s"] == pytest.approx(10)
    assert figures["peak_mib"] == 400


def test_one_disturbed_round_of_three_does_not_count() -> None:
    seconds = iter([11, 14, 11, 44, 11, 14])  # the second large run met another job

    figures = rounds.alternate({"one": Entry(lambda _: sample(next(seconds)), small=100)}, 3)["one"].figures()

    assert figures["images_per_s"] == pytest.approx(100)
    assert figures["all_images_per_s"] == pytest.approx([100, 300 / 33, 100])


def test_contestants_take_turns() -> None:
    turns: list[tuple[str, int]] = []

    def runner(name: str) -> Entry:
        def run(images: int) -> Sample:
            turns.append((name, images))
            return sample(wall_s=images)

        return Entry(run, small=1)

    rounds.alternate({"a": runner("a"), "b": runner("b")}, 2)

    assert turns == [("a", 1), ("a", 4), ("b", 1), ("b", 4)] * 2


def test_a_peer_that_fails_is_left_out_and_named_and_nobody_else_suffers() -> None:
    def fail(images: int) -> Sample:
        raise Failed("out of luck")

    entries = {"peer": Entry(fail, 1, dispensable=True), "ours": Entry(lambda images: sample(wall_s=images), 1)}

    records = rounds.alternate(entries, 2)

    assert records["peer"].failure == "out of luck"
    assert len(records["ours"].large_runs) == 2


def test_a_failure_of_ours_ends_the_measurement() -> None:
    def fail(images: int) -> Sample:
        raise Failed("out of luck")

    with pytest.raises(Failed):
        rounds.alternate({"ours": Entry(fail, 1)}, 2)


PARTS = Parts(
    cpu_ms={
        "read": 0.1, "get": 0.2, "get server": 0.7, "decode": 1.0, "head": 0.05, "write": 0.05,
        "forward": 0.8, "forward, a caller a core": 0.5,
    },
    per_s={},
)  # fmt: skip


def test_the_limit_takes_the_cheaper_way_of_the_forward_pass() -> None:
    assert PARTS.summands("local")["forward"] == 0.5


def test_from_s3_client_and_server_share_the_cores() -> None:
    local, remote = PARTS.limit("local"), PARTS.limit("s3")

    assert local == pytest.approx(limit.CORES / 1.7e-3)
    assert remote == pytest.approx(limit.CORES / 2.5e-3)


def test_without_head_and_writing_the_limit_is_higher() -> None:
    assert PARTS.limit("local", whole=False) == pytest.approx(limit.CORES / 1.6e-3)


def test_parts_of_several_rounds_are_taken_by_their_medians() -> None:
    several = [Parts({"read": cost}, {"read": 1 / cost}) for cost in (0.1, 0.9, 0.2)]

    assert Parts.median(several) == Parts({"read": 0.2}, {"read": 5.0})


def test_a_ratio_is_ours_from_local_files_over_theirs() -> None:
    rates = {"s3": 5.0, "keras": 4.0, "spark": 2.0, "local": 10.0, "keras_loop": 1.0}

    found = report.ratios({name: {"images_per_s": rate} for name, rate in rates.items()})

    assert found == {"keras": 2.5, "spark": 5.0, "keras_loop": 10.0}


def test_the_table_tells_how_many_cores_each_part_kept_busy_and_does_without_parts() -> None:
    parts = {"cpu_ms": {"decode": 0.5}, "per_s": {"decode": 3900.0}}
    told = report.table({"models": {"64": {"batch_images": 16, "parts": parts}, "224": {"all_parts": [parts]}}})
    assert "decode                       0.500 CPU ms an image, 1.95 cores" in told
    assert "224 px" not in told
