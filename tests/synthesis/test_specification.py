from __future__ import annotations

import pytest

from realnet_edge.config import DEFAULT_SOURCE
from realnet_edge.errors import ConfigError
from realnet_edge.presets import PRESETS
from realnet_edge.synthesis import OWN_SOURCES, Part, format_spec, parse_spec


def test_parts_hold_name_choice_and_weight() -> None:
    spec = "nsa=mvtec/screw:0.25, textures=/data/dtd:v2/images:1,cutpaste=scar,patches:2e-1"
    assert parse_spec(spec) == [
        Part("nsa", "mvtec/screw", 0.25),
        Part("textures", "/data/dtd:v2/images", 1.0),
        Part("cutpaste", "scar", 1.0),
        Part("patches", "", 0.2),
    ]


@pytest.mark.parametrize(
    "spec",
    [
        DEFAULT_SOURCE,
        ",".join(OWN_SOURCES),
        "sia=/a:0.5,textures=/b:0.5",
        *(preset.synthesis.source for preset in PRESETS.values()),
    ],
)
def test_what_is_written_reads_the_same(spec: str) -> None:
    parts = parse_spec(spec)
    assert parse_spec(format_spec(parts)) == parts


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ("paches:1", "paches"),
        ("", "patches, bends, chips, cutpaste"),
        ("patches=/somewhere:1", "patches=/somewhere"),
        ("nsa=:1", "nsa="),
        ("textures:1", "textures=FOLDER"),
        ("sia:1", "sia=FOLDER"),
        ("patches:much", "much"),
        ("patches:0", "not positive"),
        ("patches:nan", "not positive"),
        ("patches:0.5,patches:0.5", "twice"),
        ("nsa,nsa:0.5", "twice"),
    ],
)
def test_specifications_that_cannot_be_meant_are_refused(spec: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        parse_spec(spec)
