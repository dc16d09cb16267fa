"""The contracts in schemas/ are what the code reads, and they say what they mean."""

import pyarrow as pa
import pytest

from scorer import contracts
from scorer.errors import ContractError, SettingsError

OWN = """
apiVersion: v3.0.2
kind: DataContract
id: mine
name: mine
version: 2.0.0
status: active
schema:
  - name: listings
    properties:
      - {name: area_m2, logicalType: number, required: true, logicalTypeOptions: {minimum: 5, maximum: 2000}}
      - name: city
        logicalType: string
        quality:
          - {metric: invalidValues, arguments: {validValues: [Porto, Lyon]}, mustBe: 0}
"""


def test_the_built_in_contracts_have_the_columns_that_are_promised() -> None:
    predictions = contracts.built_in("predictions").arrow_schema()
    assert predictions.names == [
        "listing_id", "prediction", "status", "reasons", "images_given", "images_used", "bundle_name", "bundle_version",
        "bundle_digest", "input_fingerprint", "carried_from_run", "run_id", "scored_at",
        "prediction_low", "prediction_high", "prediction_class", "image_effect",
    ]  # fmt: skip
    assert [field.name for field in predictions if field.nullable] == [
        "prediction", "carried_from_run", "prediction_low", "prediction_high", "prediction_class", "image_effect",
    ]  # fmt: skip
    assert predictions.field("prediction").type == pa.float64()
    assert predictions.field("scored_at").type == pa.timestamp("us", tz="UTC")
    assert contracts.built_in("quarantine").arrow_schema().names[:3] == ["listing_id", "reason", "detail"]
    assert contracts.built_in("listing_features").column("listing_id").required


def test_every_reason_has_a_text_and_every_text_a_reason() -> None:
    refused = contracts.built_in("quarantine").column("reason").valid_values
    assert refused is not None
    assert set(contracts.reason_texts()) == contracts.reasons() | set(refused)


def test_every_reason_that_the_code_can_give_is_in_the_closed_list() -> None:
    import re
    from pathlib import Path

    import scorer

    root = Path(scorer.__file__).parent
    given = {
        reason
        for path in root.rglob("*.py")
        for reason in re.findall(r'ImageFault\(\s*"(\w+)"', path.read_text(encoding="utf-8"))
    }
    assert given
    assert given <= contracts.reasons()


def test_values_outside_a_contract_are_found_and_the_rule_is_said() -> None:
    area, city = contracts.read(OWN, "mine.yaml").columns
    mask, rule = area.broken(pa.array([4.9, 5.0, None, 2000.0, 2001.0, float("nan")]))
    assert mask.to_pylist() == [True, False, True, False, True, True]
    assert rule == "required, at least 5, at most 2000"
    mask, rule = city.broken(pa.array(["Porto", "Rome", None]))
    assert mask.to_pylist() == [False, True, False]
    assert rule == "one of Porto, Lyon"


def test_a_range_on_a_column_of_text_is_refused() -> None:
    with pytest.raises(ContractError, match="'area_m2' is string, but the contract gives it a range"):
        contracts.read(OWN, "mine.yaml").columns[0].broken(pa.array(["5"]))


def column(rest: str) -> contracts.Column:
    """The column `a` of a contract with this besides."""
    (only,) = contracts.read(OWN[: OWN.index("      - {name")] + f"      - {{name: a, {rest}}}\n", "mine.yaml").columns
    return only


def options(text: str) -> contracts.Column:
    """The column `a` with these logicalTypeOptions."""
    return column(f"logicalTypeOptions: {{{text}}}")


@pytest.mark.parametrize(
    ("text", "broken", "said"),
    [
        ("minimum: 5, exclusiveMinimum: true", [4, 5], "more than 5"),
        ("minimum: 5, exclusiveMinimum: false", [4], "at least 5"),
        ("exclusiveMinimum: 5", [4, 5], "more than 5"),
        ("minimum: 6, exclusiveMinimum: 5", [4, 5], "at least 6"),
        ("maximum: 6, exclusiveMaximum: true", [6, 7], "less than 6"),
        ("exclusiveMaximum: 6.5, maximum: 5", [6, 7], "at most 5"),
        ("maximum: 5, exclusiveMaximum: 5.0", [5, 6, 7], "less than 5"),
    ],
)
def test_a_bound_may_be_exclusive_and_the_stricter_one_holds(text: str, broken: list[int], said: str) -> None:
    values = pa.array([4, 5, 6, 7], pa.int64())
    mask, rule = options(text).broken(values)
    assert values.filter(mask).to_pylist() == broken
    assert rule == said


def test_a_text_may_have_a_length() -> None:
    mask, rule = options("minLength: 2, maxLength: 3").broken(pa.array(["é", "éé", "abc", "abcd", None]))
    assert mask.to_pylist() == [True, False, False, True, False]
    assert rule == "of at least 2 characters, of at most 3 characters"


def test_a_column_with_a_dictionary_is_held_against_the_rules_of_its_values() -> None:
    encoded = pa.array([4, 5, 4], pa.int64()).dictionary_encode()
    assert options("minimum: 5").broken(encoded)[0].to_pylist() == [True, False, True]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("pattern: '^a'", "pattern is not checked by scorer"),
        ("multipleOf: 5", "multipleOf is not checked by scorer"),
        ("minimum: 1e6", "minimum is '1e6'"),
        ("minimum: true", "minimum is True"),
        ("maximum: .inf", "maximum is inf"),
        ("maximum: .nan", "maximum is nan"),
        ("minimum: 2026-11-24", "minimum is datetime"),
        ("exclusiveMinimum: true", "exclusiveMinimum is true, and there is no minimum"),
        ("exclusiveMaximum: 'yes'", "exclusiveMaximum is 'yes'"),
        ("minLength: 1.5", "minLength is 1.5"),
        ("maxLength: -1", "maxLength is -1"),
    ],
)
def test_an_option_that_cannot_be_checked_is_refused_by_its_name(text: str, why: str) -> None:
    with pytest.raises(SettingsError, match=rf"The contract mine\.yaml: column 'a': {why}.* Nothing was read\."):
        options(text)


def test_a_rule_that_the_columns_type_cannot_break_or_keep_is_refused_before_there_is_a_row() -> None:
    lists = pa.nulls(0, pa.list_(pa.string()))
    with pytest.raises(ContractError, match="range of numbers"):
        options("minimum: 1").broken(lists)
    with pytest.raises(ContractError, match="its texts a length"):
        options("minLength: 1").broken(lists)
    with pytest.raises(ContractError, match="allows it only 'a'"):
        column("quality: [{metric: invalidValues, arguments: {validValues: [a]}, mustBe: 0}]").broken(lists)


@pytest.mark.parametrize(
    "text", ["", "[]", "kind: Other", "a: [", OWN.replace("v3.0.2", "v2.2.1"), OWN.replace("schema:", "tables:"), "\0"]
)
def test_what_is_no_contract_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(SettingsError, match=r"The contract mine\.yaml is not an Open Data Contract Standard v3"):
        contracts.read(text, "mine.yaml")
