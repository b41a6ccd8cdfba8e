"""What a user fixes is read by the type that the detector declares."""

import math
from dataclasses import dataclass

import pytest

from tune_ad.app.preparation.settings import read, read_settings
from tune_ad.detectors.autoencoders.ae import AE
from tune_ad.detectors.base import Detector
from tune_ad.detectors.config import Config, Rule, choice, fractions, number
from tune_ad.detectors.pgn import PGN
from tune_ad.errors import UserError
from tune_ad.search.baseline import Baseline


@dataclass(frozen=True)
class Many(Config):
    """A hyperparameter of every kind."""

    samples: int = number(5, "[0, 100]", word="inf")
    bits: str = choice("8", "16", "true")
    rate: float = number(0.1, "(0, inf]")
    bounded: float = number(0.1, "(0, inf)")
    steps: tuple[float, ...] = fractions((0.5,))
    flag: bool = False


class ManyKinds(Detector[Many]):
    """A detector with such hyperparameters."""

    Config = Many


@dataclass(frozen=True)
class Wider(Config):
    """Two fields of the same names, of other types."""

    samples: float = number(5.0, "[0, 1000]")
    bits: int = number(8, "[1, 64]")


class Other(Detector[Wider]):
    """A second detector."""

    Config = Wider


def settings(*detectors, **texts):
    return read_settings(texts, [Baseline(detector) for detector in detectors])


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("samples", "inf", "inf"),
        ("samples", "20", 20),
        ("bits", "8", "8"),
        ("bits", "true", "true"),
        ("rate", "2", 2.0),
        ("rate", "1e-3", 0.001),
        ("rate", "inf", math.inf),
        ("steps", "0.5,0.75", (0.5, 0.75)),
        ("steps", "(0.5, 0.75)", (0.5, 0.75)),
        ("steps", "(0.5,)", (0.5,)),
        ("steps", "[0.5]", (0.5,)),
        ("steps", "0.5", (0.5,)),
        ("steps", "()", ()),
        ("steps", "[]", ()),
        ("flag", "true", True),
        ("flag", "True", True),
        ("flag", "false", False),
        ("flag", "False", False),
    ],
)
def test_a_text_is_read_by_the_declared_type(name, text, value):
    values = settings(ManyKinds, **{name: text})
    assert values == {name: value}
    assert type(values[name]) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("samples", "many", "samples must be 'inf' or an integer in .*, got 'many'"),
        ("samples", "2.5", "--set samples must be .*an integer in .*, got 2.5$"),
        ("rate", "-1", "--set rate must be .*, got -1$"),
        ("samples", "101", "got 101$"),
        ("bits", "32", "--set bits must be one of 8, 16, true, got 32$"),
        ("bounded", "inf", "--set bounded must be a finite number above 0, got inf$"),
        ("rate", "nan", "got nan"),
        ("rate", "true", "got 'true'"),
        ("steps", "0.5,2", "steps must be a tuple"),
        ("steps", "(0.5", "got '\\(0.5'"),
        ("steps", "0.5,,0.75", "got '0.5,,0.75'"),
        ("flag", "yes", "flag must be one of False, True, got 'yes'"),
        ("flag", "1", "--set flag must be one of False, True, got 1$"),
        ("step", "0.5", "no detector of this search has a parameter 'step'; did you mean steps?"),
        ("qqqq", "1", "'qqqq'; choose from bits, bounded, flag, rate, samples, scaling, steps"),
    ],
)
def test_what_no_rule_allows_is_refused_in_its_words(name, text, words):
    with pytest.raises(UserError, match=words) as refusal:
        settings(ManyKinds, **{name: text})
    assert "\n" not in str(refusal.value)


def test_the_types_of_several_detectors_are_asked_in_turn():
    assert settings(ManyKinds, Other, samples="20") == {"samples": 20}
    assert type(settings(Other, ManyKinds, samples="20")["samples"]) is int
    assert settings(Other, samples="20") == {"samples": 20.0}
    with pytest.raises(UserError, match="--set samples must be .*, got inf$"):
        settings(ManyKinds, Other, samples="inf")  # the one allows the text, the other does not
    with pytest.raises(UserError, match="bits must be"):
        settings(ManyKinds, Other, bits="8")


def test_a_parameter_of_one_detector_does_not_concern_the_others():
    assert settings(PGN, AE, dropout="0.3", width="2") == {"dropout": 0.3, "width": 2.0}


def test_a_value_that_is_no_text_stays_as_it_is():
    values = settings(ManyKinds, rate=2, steps=(0.5,), flag=True, samples="inf")
    assert values == {"rate": 2, "steps": (0.5,), "flag": True, "samples": "inf"}
    assert type(values["rate"]) is int
    with pytest.raises(UserError, match="got \\[0.5\\]"):
        settings(ManyKinds, steps=[0.5])


@pytest.mark.parametrize("detector", [PGN, AE, ManyKinds])
def test_every_default_is_read_from_its_own_text(detector):
    rules = detector.Config.rules()
    for name, rule in rules.items():
        value = getattr(detector.Config(), name)
        again = read(str(value), rule)
        assert again == value
        assert type(again) is type(value)


def test_a_rule_of_numbers_takes_no_truth_value():
    assert read("true", Rule(interval="[0, 1]")) == "true"
