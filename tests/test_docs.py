"""The pages for people: no dead link or anchor, no flag, setting or exit code that the code does not have."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from scorer import errors
from scorer.cli import app
from scorer.settings import CreateJob, Job, Settings, TrainJob

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMANDS = typer.main.get_command(app)
MEASURED = ROOT / "benchmarks" / "results" / "latest.json"


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, *languages: str) -> list[str]:
    """The fenced code blocks in these languages."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [text for language, text in found if language in languages]


def anchors(page: Path) -> set[str]:
    """What a link may have after its #."""
    prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    dead = []
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", page.read_text(encoding="utf-8")):
        place = (page.parent / target) if target else page
        if "://" in target:
            continue
        if not place.exists() or (anchor and place.suffix == ".md" and anchor not in anchors(place)):
            dead.append(f"{target}#{anchor}")

    assert not dead


@pytest.mark.parametrize("page", ["README.md", "docs/operations.md"])
def test_the_table_of_exit_codes_lists_those_of_the_errors(page: str) -> None:
    listed = {
        int(code) for code in re.findall(r"^\| (\d+) \|", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    }
    raised = {
        kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.ScorerError)
    }

    assert listed == {0} | raised


def commands(page: Path) -> Iterator[list[str]]:
    """The words of every `scorer ...` in the page's shell blocks, from the command's name on."""
    for block in blocks(page, "sh", "bash"):
        text = block.replace("\\\n", " ")
        for words in re.findall(r"(?:^|&& |; )(?:[A-Z_]+=\S+ )*scorer ([^;&|\n]*)", text, re.MULTILINE):
            yield shlex.split(words, comments=True)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_in_a_page_has_its_flags_and_settings(page: Path) -> None:
    for words in commands(page):
        command: Any = COMMANDS
        while hasattr(command, "commands"):
            assert words[0] in command.commands, f"{name_of(page)}: scorer {words[0]}"
            command = command.commands[words.pop(0)]
        flags = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        used = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert used <= flags, f"{name_of(page)}: {command.name} {' '.join(words)}"
        for flag, value in pairwise(words):
            if flag == "--set":
                kinds: dict[str, type[Settings]] = {"train": TrainJob, "create": CreateJob}
                kind = kinds.get(command.name, Job)
                assert is_setting(kind, value.partition("=")[0]), f"{name_of(page)}: {value}"


def is_setting(kind: type[Settings], name: str) -> bool:
    """Is this dotted name a setting of the class?"""
    first, _, rest = name.partition(".")
    field = kind.model_fields.get(first)
    if field is None:
        return False
    inner = field.annotation
    return not rest or not (isinstance(inner, type) and issubclass(inner, Settings)) or is_setting(inner, rest)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_job_file_in_a_page_or_a_part_of_one_has_settings_that_exist(page: Path) -> None:
    places = dict.fromkeys(("listings", "bundle", "predictions"), "s3://shop/there")
    for block in blocks(page, "yaml"):
        if block.startswith("# job.yaml"):
            Job.model_validate(places | yaml.safe_load(block))


def test_the_program_that_makes_a_bundle_of_your_own_model_runs_and_the_bundle_verifies(tmp_path: Path) -> None:
    (program,) = blocks(ROOT / "docs" / "your-own-model.md", "python")
    program += "\nfrom scorer.model.predictor import verify_bundle\nprint(verify_bundle('my-bundle', ObjectStore()))\n"

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
    )

    assert done.returncode == 0, done.stderr[-2000:]
    assert re.match(r"[0-9a-f]{64}\n", done.stdout)
    assert "mine-1" in done.stdout


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    text = (ROOT / page).read_text(encoding="utf-8").partition(f"## {heading}\n")[2]
    lines = re.search(r"^\|.*?(?=^[^|]|\Z)", text, re.DOTALL | re.MULTILINE)
    assert lines is not None
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[0].strip().splitlines()[2:]]


@cache
def costs() -> dict[tuple[str, str], tuple[float, float]]:
    """(place, pixels) -> CPU ms an image and the share of the cores kept busy, as the page says."""
    found = {}
    for place, model, cpu_ms, busy in rows("docs/capacity.md", "The formula"):
        pixels = re.search(r"(\d+) px", model)
        assert pixels is not None
        found[place, pixels[1]] = float(cpu_ms), float(busy.rstrip(" %")) / 100
    return found


def test_the_worked_example_follows_from_the_formula() -> None:
    cores, megabytes = 16, 68e-3
    for images, model, *cells in rows("docs/capacity.md", "A worked example"):
        count = float(images.split()[0]) * 1e6
        cpu_ms, busy = costs()["S3", model.split()[0]]
        core_hours = count * cpu_ms / 3_600_000
        hours = core_hours / (cores * busy)
        rate = count / (hours * 3600)
        expected = [core_hours, hours, count * megabytes / 1e6, rate * megabytes * 8 / 1000, rate]

        assert [float(cell.replace(",", "")) for cell in cells] == pytest.approx(expected, rel=0.01, abs=0.006), images


def test_the_costs_of_an_image_are_those_that_were_measured() -> None:
    """The page names where its figures are from; if that is the file of `make bench`, they are the file's."""
    page = (ROOT / "docs" / "capacity.md").read_text(encoding="utf-8")
    if MEASURED.name not in page:
        assert "decisions/pipeline.md" in page
        return
    measured: dict[str, Any] = json.loads(MEASURED.read_text(encoding="utf-8"))
    for (place, pixels), (cpu_ms, busy) in costs().items():
        contestants = measured["models"][pixels]["contestants"]
        found = contestants["s3" if place == "S3" else "local"]["cpu_ms_per_image"]
        local = contestants["local"]
        share = local["images_per_s"] * local["cpu_ms_per_image"] / 1000 / measured["machine"]["cores"]

        assert cpu_ms == pytest.approx(found, abs=0.006), (place, pixels)
        assert busy == pytest.approx(share, abs=0.006), (place, pixels)
