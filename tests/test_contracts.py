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


@pytest.mark.parametrize(
    "text", ["", "[]", "kind: Other", "a: [", OWN.replace("v3.0.2", "v2.2.1"), OWN.replace("schema:", "tables:"), "\0"]
)
def test_what_is_no_contract_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(SettingsError, match=r"The contract mine\.yaml is not an Open Data Contract Standard v3"):
        contracts.read(text, "mine.yaml")
