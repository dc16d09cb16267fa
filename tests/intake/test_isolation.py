"""An image may do to its decoder what it likes: it costs this image, and its neighbours come out as ever."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from scorer import contracts
from scorer.errors import ImageFault, Transient
from scorer.intake import isolation
from scorer.intake.isolation import REASONS, IsolatedDecoder
from scorer.intake.pixels import PixelSpec, decode_image
from scorer.settings import ImageLimits
from tests.images import BROKEN, GOOD, Pixels, announcing, saved

SPEC = PixelSpec(20)
LIMITS = ImageLimits(decode_seconds=1, decode_memory_mb=256)
TRAPS = Path(__file__).parent / "traps"


@pytest.fixture(scope="module")
def decoder() -> Iterator[IsolatedDecoder]:
    """One process for all tests here that do not need one of their own. It knows the format of the traps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(TRAPS)
        patch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
        with IsolatedDecoder(SPEC, LIMITS, 1) as found:
            found.decode(GOOD["jpeg"].make(), square())
            yield found


def square() -> Pixels:
    return np.zeros((20, 20, 3), np.uint8)


def refusal(decoder: IsolatedDecoder, data: bytes) -> ImageFault:
    with pytest.raises(ImageFault) as refused:
        decoder.decode(data, square())
    return refused.value


def processes() -> set[int]:
    """Those that decode; this process may have other children, for instance a store of other tests."""
    found = set()
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            if any("sandbox" in word for word in child.cmdline()):
                found.add(child.pid)
    return found


def direct() -> set[int]:
    """Children of this process itself, those of other tests included."""
    return {child.pid for child in psutil.Process().children()}


@pytest.mark.parametrize("name", GOOD)
def test_the_pixels_are_those_of_the_call_in_this_process(decoder: IsolatedDecoder, name: str) -> None:
    data, out = GOOD[name].make(), square()

    decoder.decode(data, out)

    assert np.array_equal(out, decode_image(data, SPEC, LIMITS))


@pytest.mark.parametrize("name", BROKEN)
def test_refusals_are_those_of_the_call_in_this_process(decoder: IsolatedDecoder, name: str) -> None:
    data = BROKEN[name].make()

    with pytest.raises(ImageFault) as here:
        decode_image(data, SPEC, LIMITS)
    assert str(refusal(decoder, data)).replace(", Trap;", ";") == str(here.value)


@pytest.mark.parametrize(
    ("trap", "reason", "told"),
    [
        ("crash", "image_corrupt", "its decoder crashed (SIGSEGV)"),
        ("abort", "image_corrupt", "its decoder crashed (SIGABRT)"),
        ("leave", "image_corrupt", "its decoder ended without a word"),
        ("spin", "image_corrupt", "decoding took longer than 1 s; the limit is images.decode_seconds"),
        ("sleep", "image_corrupt", "decoding took longer than 1 s; the limit is images.decode_seconds"),
        ("swell", "image_too_many_pixels", "memory did not suffice"),
        ("open a file", "image_corrupt", "Too many open files"),
    ],
)
def test_what_kills_or_holds_up_its_decoder_is_one_refused_image(
    decoder: IsolatedDecoder, trap: str, reason: str, told: str
) -> None:
    before = processes()

    fault = refusal(decoder, b"TRAP:" + trap.encode())

    assert fault.reason == reason, str(fault)
    assert told in fault.detail
    data, out = GOOD["jpeg"].make(), square()
    decoder.decode(data, out)
    assert np.array_equal(out, decode_image(data, SPEC, LIMITS))
    assert processes() == before, "the process around the decoder goes on, and leaves nothing behind"


@pytest.mark.parametrize("trap", ["print", "answer for others"])
def test_a_decoder_has_no_way_to_the_answers_about_other_images(decoder: IsolatedDecoder, trap: str) -> None:
    out = square()

    decoder.decode(b"TRAP:" + trap.encode(), out)
    assert (out == 77).all()
    assert refusal(decoder, BROKEN["html"].make()).reason == "image_unsupported"


def test_a_decoder_knows_no_credentials(decoder: IsolatedDecoder) -> None:
    assert "AWS_SECRET_ACCESS_KEY" in os.environ
    names = refusal(decoder, b"TRAP:show the environment").detail

    assert "PYTHONPATH" in names
    assert not [name for name in names.split() if "AWS" in name or "SCORER" in name]


def test_a_decoder_has_no_tensorflow(decoder: IsolatedDecoder) -> None:
    assert refusal(decoder, b"TRAP:show the modules").detail == "Trap: ValueError: "


def test_an_image_that_ends_the_whole_process_is_refused_and_the_process_replaced(decoder: IsolatedDecoder) -> None:
    before = processes()

    assert "ended twice" in refusal(decoder, b"TRAP:kill the process around it").detail

    decoder.decode(b"TRAP:nothing", square())
    assert len(processes() - before) == 1
    assert len(processes()) == len(before)


def test_a_process_that_somebody_kills_costs_no_image(decoder: IsolatedDecoder) -> None:
    decoder.decode(b"TRAP:nothing", square())
    for pid in processes():
        os.kill(pid, signal.SIGKILL)

    decoder.decode(b"TRAP:nothing", square())


def test_a_process_that_does_not_answer_is_ended_and_replaced(
    decoder: IsolatedDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation, "START_SECONDS", -5.5)  # with 6 x 1 s half a second is left
    decoder.close()
    decoder_of_its_own = IsolatedDecoder(SPEC, LIMITS, 1)
    assert "no answer about it" in refusal(decoder_of_its_own, b"TRAP:sleep").detail
    assert not processes()


def test_nothing_is_started_before_the_first_image_and_nothing_is_left_behind() -> None:
    before = processes()
    with IsolatedDecoder(SPEC, LIMITS, 2) as decoder:
        assert processes() == before
        decoder.decode(GOOD["jpeg"].make(), square())
        assert len(processes()) == len(before) + 1
    assert processes() == before


def test_a_busy_process_ends_after_its_image_when_closed_meanwhile(decoder: IsolatedDecoder) -> None:
    out, faults = square(), []
    decoder.decode(b"TRAP:nothing", out)

    def decode() -> None:
        faults.append(refusal(decoder, b"TRAP:spin"))

    thread = threading.Thread(target=decode)
    thread.start()
    time.sleep(0.3)
    decoder.close()
    thread.join()
    assert "took longer" in faults[0].detail
    assert not processes()


def test_no_more_processes_run_than_allowed_however_many_threads_ask() -> None:
    most, before = 0, direct()
    outs = [square() for _ in range(12)]
    with IsolatedDecoder(SPEC, LIMITS, 2) as decoder:
        threads = [threading.Thread(target=decoder.decode, args=(GOOD["heic"].make(), out)) for out in outs]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            most = max(most, len(direct() - before))
            time.sleep(0.01)
    assert most == 2
    assert all(np.array_equal(out, outs[0]) for out in outs)


def test_where_no_process_can_be_started_the_image_is_not_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(Transient, match=r"No process can be started .* Start the run again"):
        IsolatedDecoder(SPEC, LIMITS, 1).decode(GOOD["jpeg"].make(), square())


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WebP", "JPEG"])
def test_an_image_that_needs_more_memory_than_its_process_may_have_is_refused_as_too_large(kind: str) -> None:
    data = saved(Image.new("RGB", (5_000, 5_000)), kind, **({"progressive": True} if kind == "JPEG" else {}))
    with IsolatedDecoder(SPEC, ImageLimits(decode_memory_mb=64), 1) as decoder:
        fault = refusal(decoder, data)
        assert str(fault) == f"image_too_many_pixels: {kind} for which memory did not suffice"


# Who goes there


@pytest.mark.parametrize("name", GOOD)
def test_plain_formats_are_decoded_here_and_others_elsewhere(name: str) -> None:
    went: list[bytes] = []

    decode_image(GOOD[name].make(), SPEC, LIMITS, square(), lambda data, out: went.append(data))

    assert bool(went) is (GOOD[name].format not in {"JPEG", "PNG", "WebP", "GIF", "BMP"})


@pytest.mark.parametrize(
    ("kind", "size", "goes"),
    [
        ("JPEG", (4_000, 8_000), False),
        ("JPEG", (6_000, 8_000), True),
        ("PNG", (2_000, 4_000), False),
        ("PNG", (4_000, 4_000), True),
        ("WebP", (4_000, 4_000), True),
        ("GIF", (4_000, 4_000), True),
        ("BMP", (4_000, 8_000), False),
    ],
)
def test_what_is_costly_by_its_header_goes_elsewhere(kind: str, size: tuple[int, int], goes: bool) -> None:
    went: list[bytes] = []
    with contextlib.suppress(ImageFault):  # it holds fewer pixels than it announces
        decode_image(announcing(kind, *size), SPEC, LIMITS, square(), lambda data, out: went.append(data))
    assert bool(went) is goes


def test_limits_are_checked_before_anything_goes_elsewhere() -> None:
    def elsewhere(data: bytes, out: Pixels) -> None:
        raise AssertionError("asked although the limit refuses it")

    with pytest.raises(ImageFault, match="image_too_many_pixels"):
        decode_image(announcing("HEIC", 60_000, 50_000), SPEC, LIMITS, square(), elsewhere)


def test_every_reason_is_in_the_contract() -> None:
    assert contracts.reasons() > REASONS
