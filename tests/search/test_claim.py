import json

import pytest

from tune_ad.errors import UserError
from tune_ad.search.claim import Claim

CLAIMS = [
    Claim("capacity", factor="width"),
    Claim("capacity", factor="width", strata=("likelihood", "latent_dim")),
    Claim(
        "forward_kl",
        factor="objective",
        baseline_level="elbo",
        control_level="refit",
        levels={"elbo": {"refit": 0.0}, "refit": {"refit": 0.5}},
    ),
]


@pytest.mark.parametrize("claim", CLAIMS)
def test_what_is_stored_is_read_again(claim):
    assert Claim.read(json.loads(json.dumps(claim.describe()))) == claim


def test_defaults_are_not_stored():
    assert CLAIMS[0].describe() == {"kind": "capacity", "factor": "width"}


@pytest.mark.parametrize(
    ("stored", "fault"),
    [
        ({"kind": "capacity"}, "factor must be the name of one parameter, got ''"),
        ({"factor": "width"}, "one of capacity, forward_kl, got ''"),
        ({"kind": "capacity", "factor": "width", "stratum": []}, "a claim has no stratum"),
        ("capacity", "must be a table of kind, factor and strata, got 'capacity'"),
    ],
)
def test_an_invalid_claim_is_refused(stored, fault):
    with pytest.raises(UserError, match=fault):
        Claim.read(stored)


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"kind": "size"}, "got 'size'"),
        ({"factor": ("width", "depth")}, "name of one parameter"),
        ({"strata": "likelihood"}, "must be a tuple of names, got 'likelihood'"),
        ({"levels": ("elbo",)}, "must give the parameters of each level"),
        ({"kind": "forward_kl"}, "needs a baseline_level"),
        ({"baseline_level": 1.0}, "must be texts, got 1.0"),
        ({"control_level": "b", "levels": {"a": {}}}, "must include 'b', got a"),
    ],
)
def test_a_declaration_is_checked(fields, fault):
    with pytest.raises(UserError, match=fault):
        Claim(**{"kind": "capacity", "factor": "width"} | fields)
