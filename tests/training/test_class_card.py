"""The card of a bundle of classes: the table of mistakes, and names that stay names."""

import re
from dataclasses import replace

import numpy as np
import pytest

from scorer.training.card.classes import EACH_HEAD, MODEL_HEAD, ClassCard, class_card_files, confusion
from scorer.training.card.content import Curve, Point
from tests.training.reading import PageReader

HOSTILE = ("<script>alert(1)</script>", "a|b\n# owned", "![x](http://evil/x)")


def card(names: tuple[str, ...] = HOSTILE) -> ClassCard:
    counts = np.arange(len(names) ** 2).reshape(len(names), -1)
    head, rows = confusion(names, counts)
    return ClassCard(
        name=names[0],
        verdict="The images help.",
        about=(("predicts", names[1]),),
        data=(("classes", ", ".join(names)),),
        leaks="Nothing leaks.",
        split="dealt out",
        models=tuple((name, *["1"] * (len(MODEL_HEAD) - 1)) for name in ("constant", "ours")),
        each=tuple((name, *["1"] * (len(EACH_HEAD) - 1)) for name in names),
        confusion_head=head,
        confusion=rows,
        meaning=f"probability of {names[1]}",
        calibrated="Probabilities are calibrated by temperature 1.20.",
        calibration=(Point(0.2, 0.1, 40), Point(0.7, 0.8, 60)),
        curves=(Curve("fused", (1.0, 0.5), (1.1, 0.7)),),
        limits=(f"It knows these classes and no other: {', '.join(names)}.",),
    )


def test_a_matrix_counts_each_class_by_what_it_was_told_to_be() -> None:
    head, rows = confusion(("cat", "dog"), np.array([[5, 1], [2, 1200]]))
    assert head == ("is, and is told to be", "cat", "dog")
    assert rows == (("cat", "5", "1"), ("dog", "2", "1,200"))


def test_of_many_classes_the_mistakes_are_listed_most_frequent_first() -> None:
    names = tuple(f"c{at}" for at in range(13))
    counts = np.diag(np.full(13, 9))
    counts[3, 4], counts[7, 1] = 2, 5
    head, rows = confusion(names, counts)
    assert head == ("is", "is told to be", "test listings")
    assert rows == (("c7", "c1", "5"), ("c3", "c4", "2"))
    assert confusion(names, np.diag(np.full(13, 9)))[1] == ()


def test_class_names_stay_texts_whatever_is_in_them() -> None:
    files = class_card_files(card())
    reader = PageReader()
    reader.feed(files["card.html"].decode())
    assert not reader.tags["script"]
    assert not reader.handlers
    assert all(lead.startswith(("#", "data:,")) for lead in reader.leads)
    written = files["card.md"].decode()
    assert not re.search(r"(?<!\\)<", written)
    assert not re.search(r"(?<!\\)!\[|(?<!\\)\]\(", written)
    assert "\n# owned" not in written


def test_what_is_not_there_is_left_out() -> None:
    files = class_card_files(replace(card(), confusion=(), curves=(), calibration=(Point(0.5, 0.5, 3),)))
    assert "Nothing is taken for another class." in files["card.html"].decode()
    assert "Nothing is taken for another class." in files["card.md"].decode()
    assert "Learning" not in files["card.html"].decode()


@pytest.mark.parametrize("name", ["card.html", "card.md"])
def test_both_forms_say_the_same(name: str) -> None:
    content = class_card_files(card(("cat", "dog")))[name].decode()
    for said in ("The images help", "dealt out", "log loss", "of them found", "temperature 1.20", "Limits"):
        assert said in content
