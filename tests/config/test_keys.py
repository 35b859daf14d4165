"""Range and meaning of a key stand at its field; the schema and the page follow from there."""

import dataclasses

import pytest
import yaml

from rtc.config.build import describe, meaning, options_of
from rtc.config.method_options import built_in
from rtc.config.sections import Configuration, ExpertConfig, PolicyConfig
from rtc.config.write import README, ROOT, SCHEMA, readme_text, schema_text

DEFAULT = yaml.safe_load((ROOT / "config/config.yaml").read_text())


def test_schema_and_page_are_as_the_fields_say():
    again = "run: python -m rtc.config.write"
    assert SCHEMA.read_text() == schema_text(), again
    page = README.read_text()
    assert page == readme_text(page), again


def test_the_page_shows_range_default_and_meaning():
    page = README.read_text()
    assert (
        "| `learning_rate` | a number above 0, at most 10 | `0.0003` | Adam's step size. |" in page
    )
    assert "| `gamma` | a number from 0 to 1 | `0.995` | Discount. |" in page
    assert "| `video` | true or false | `true` |" in page
    assert "| `hidden_sizes` | a list of 1 to 16 entries, each a whole number from 1 to" in page
    assert "| `engine` | one of specialised, kinetix | `specialised` |" in page


def keys(kind):
    for key, option in options_of(kind).items():
        yield kind.__name__, key, option.hint
        if dataclasses.is_dataclass(option.hint):
            yield from keys(option.hint)


@pytest.mark.parametrize(("kind", "key", "hint"), [*keys(Configuration), *keys(PolicyConfig)])
def test_every_key_has_a_meaning(kind, key, hint):
    assert dataclasses.is_dataclass(hint) or meaning(hint).endswith("."), f"{kind}.{key}"
    assert describe(hint)


def test_the_default_has_every_key_of_its_section():
    for name in ("env", "experts", "datasets", "evaluation", "traces", "videos", "tracking"):
        assert set(DEFAULT[name]) == set(options_of(options_of(Configuration)[name].hint)), name


def test_the_schema_takes_the_shipped_configurations_and_refuses_what_the_fields_refuse():
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(yaml.safe_load(SCHEMA.read_text()))
    assert not list(validator.iter_errors(DEFAULT))
    broken = DEFAULT | {"experts": DEFAULT["experts"] | {"gamma": 2, "gama": 1}, "sed": 0}
    assert len(list(validator.iter_errors(broken))) == 3
    for entry in ({"method": "realtime", "policy": "flow", "betta": 3}, {"method": "naive"}):
        assert list(validator.iter_errors(DEFAULT | {"methods": {"x": entry}})), entry


def test_the_options_read_from_the_source_are_those_of_the_classes():
    from rtc.methods import METHODS

    assert list(built_in("method")) == list(METHODS)
    for name, method in METHODS.items():
        read, real = built_in("method")[name].options, options_of(method)
        assert {k: o.hint for k, o in read.items()} == {k: o.hint for k, o in real.items()}, name
        assert [o.default for o in read.values()] == [o.default for o in real.values()], name


def test_a_field_is_checked_where_it_is_built():
    kind = options_of(ExpertConfig)["clip"].hint
    assert describe(kind) == "a number above 0, at most 1,000,000"
