from __future__ import annotations

import json

import numpy as np
import pytest

from realnet_edge.errors import ConfigError, DataError
from realnet_edge.synthesis import PRESETS, ForegroundRule, foreground_mask


def square_image(inside: int, outside: int) -> np.ndarray:
    image = np.full((64, 80, 3), outside, np.uint8)
    image[20:40, 30:60] = inside
    return image


@pytest.mark.parametrize("text", ["whole", "otsu:dark:6:6", "triangle:bright:8:3:channel=2"])
def test_text_and_dictionary_lead_back_to_the_rule(text: str) -> None:
    rule = ForegroundRule.parse(text)
    assert str(rule) == text
    assert ForegroundRule.from_dict(json.loads(json.dumps(rule.to_dict()))) == rule


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("otsu", "METHOD:POLARITY"),
        ("otsu:dark:six:6", "otsu:dark:six:6"),
        ("yen:dark:6:6", "yen"),
        ("otsu:grey:6:6", "grey"),
        ("otsu:dark:6:6:channel=3", "3"),
        ("otsu:dark:-1:6", "-1"),
        ("whole:dark:6:6", "whole takes no"),
    ],
)
def test_unreadable_rules_are_refused_with_what_is_valid(text: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        ForegroundRule.parse(text)


def test_dictionaries_of_another_form_are_refused() -> None:
    document = ForegroundRule().to_dict()
    with pytest.raises(ConfigError, match="keys"):
        ForegroundRule.from_dict({**document, "extra": 1})
    with pytest.raises(ConfigError, match="integers"):
        ForegroundRule.from_dict({**document, "closing": "6"})


@pytest.mark.parametrize("method", ["otsu", "triangle"])
@pytest.mark.parametrize(("polarity", "inside", "outside"), [("dark", 30, 200), ("bright", 220, 40)])
@pytest.mark.parametrize("side", [0, 3, 6])
def test_a_square_is_found_exactly(method: str, polarity: str, inside: int, outside: int, side: int) -> None:
    rule = ForegroundRule.parse(f"{method}:{polarity}:{side}:{side}")
    expected = np.zeros((64, 80), bool)
    expected[20:40, 30:60] = True
    assert np.array_equal(foreground_mask(square_image(inside, outside), rule), expected)


def test_closing_fills_gaps_and_opening_removes_specks() -> None:
    image = square_image(30, 200)
    image[28:31, 40:43] = 200
    image[5:7, 5:7] = 30
    expected = np.zeros((64, 80), bool)
    expected[20:40, 30:60] = True
    assert np.array_equal(foreground_mask(image, ForegroundRule.parse("otsu:dark:6:6")), expected)
    assert not np.array_equal(foreground_mask(image, ForegroundRule.parse("otsu:dark:0:0")), expected)


def test_a_channel_sees_what_grey_does_not() -> None:
    image = np.full((64, 64, 3), 100, np.uint8)
    image[10:30, 10:30, 2] = 250
    mask = foreground_mask(image, ForegroundRule.parse("otsu:bright:0:0:channel=2"))
    assert mask.sum() == 400
    assert mask[10:30, 10:30].all()


def test_whole_takes_every_pixel_and_other_arrays_are_refused() -> None:
    assert foreground_mask(np.zeros((5, 6, 3), np.uint8), ForegroundRule()).all()
    with pytest.raises(DataError, match="uint8 RGB"):
        foreground_mask(np.zeros((5, 6), np.uint8), ForegroundRule())


def test_every_published_category_has_a_preset() -> None:
    counts = {
        name: sum(key.startswith(f"{name}/") for key in PRESETS) for name in ("mvtec", "visa", "mpdd", "btad")
    }
    assert counts == {"mvtec": 15, "visa": 12, "mpdd": 6, "btad": 3}
    assert str(PRESETS["mvtec/screw"]) == "otsu:dark:6:6"
    assert str(PRESETS["visa/pcb3"]) == "triangle:bright:8:3:channel=2"
    assert str(PRESETS["mpdd/tubes"]) == "otsu:bright:6:0:channel=2"
    assert PRESETS["btad/02"].method == "whole"
