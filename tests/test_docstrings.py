"""Every public callable documents each of its parameters, in order and no other."""

import pytest
from numpydoc.validate import validate

from tests import public

RULES = {"PR01", "PR02", "PR03"}


def culprit(first, second):
    """Add.

    Parameters
    ----------
    first : int
    third : int
    """
    return first + second


def faults(name):
    return [text for code, text in validate(name)["errors"] if code in RULES]


@pytest.mark.parametrize("name", public.names())
def test_parameters_are_documented(name):
    assert faults(name) == []


def test_the_rule_sees_what_is_missing():
    assert "rmtstab.unlearning.problem.UnlearningProblem.from_gram" in public.names()
    assert "rmtstab.theory.one_step.one_step" in public.names()
    assert faults(f"{__name__}.culprit") == [
        "Parameters {'second'} not documented",
        "Unknown parameters {'third'}",
    ]
