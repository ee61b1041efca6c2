"""A former name works, and says what to write instead."""

import pytest

from rmtstab import theory


@pytest.mark.parametrize("name", ["noise_scale", "volterra_step_size"])
def test_former_names_work_and_say_what_is_new(name):
    with pytest.warns(DeprecationWarning, match=f"is now rmtstab.theory.volterra.{name}"):
        former = getattr(theory.high_dimensional, name)
    assert former is getattr(theory.volterra, name)


def test_a_name_that_never_was_is_none():
    with pytest.raises(AttributeError, match="has no attribute 'other'"):
        theory.high_dimensional.other  # noqa: B018 (the access is the test)
