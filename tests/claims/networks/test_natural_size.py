"""Made-up maps at natural size: predictions that are off, wrong theories that are not, fail."""

import math

import numpy as np
import pytest

from rmtstab.claims.networks import natural_size, records


@pytest.mark.parametrize(
    ("predicted", "real", "value"),
    [
        ([1, 1, 0, 0], [1, 1, 0, 0], 1.0),
        ([1, 1, 1, 1], [1, 1, 1, 0], 0.5),  # a majority vote
        ([0, 0, 1, 1], [1, 1, 0, 0], 0.0),
        ([1, 0], [1, 1], math.nan),  # of one class
    ],
)
def test_balanced_accuracy(predicted, real, value):
    np.testing.assert_equal(records.balanced_accuracy(predicted, real), value)


def cell(errors, alpha=0.5, start=-8.0):
    """A cell whose runs pass each level with these log errors of function space."""
    levels = natural_size_levels()
    along = [
        {"level": level, "real": start + 5.0 + k, "function_space": start + 5.0 + k + error,
         "other_batches": start + 5.0 + k, "frozen": start + 6.0 + k, "scaled": start + 7.0 + k}
        for k, (level, error) in enumerate(zip(levels, errors, strict=True))
    ]  # fmt: skip
    turned = {"collapses": 3 if alpha > 0.4 else None, "outcome": "keeps"}
    return {"alpha": alpha, "log_start": start, "along": along, "real": turned,
            "function_space": turned, "frozen": turned}  # fmt: skip


def natural_size_levels():
    return (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def evidence(errors, spread=0.05):
    found = []
    for loss in (natural_size.SQUARED, natural_size.LOGISTIC):
        for index in range(3):
            shifted = [e * (1.0 + spread * (index - 1)) for e in errors]
            cells = [cell(shifted), cell(shifted, alpha=0.0)]
            maps = [{"displacement": 0.01, "flipped": 0.003, "cells": cells}]
            found.append({"data": "signal_plus_noise", "loss": loss, "index": index, "maps": maps})
    return {"natural_size": found}


RISING = (0.02, 0.1, 0.2, 0.3, 0.1, 1.2)  # at half of ‖w*‖ function space is close


def test_right_predictions_hold_and_say_where_they_stop():
    found = evidence(RISING)
    assert natural_size.function_space(found).holds
    outcome = natural_size.linear_theory(found)
    assert outcome.holds and outcome.value == pytest.approx(0.1)
    errors = natural_size.errors_along(found, natural_size.SQUARED, "function_space")
    stops, factor = natural_size.stopping_displacement(errors, math.log(1.5))
    share = (math.log(1.5) - 0.1) / 1.1
    assert stops == pytest.approx(0.5 * 2.0**share, rel=0.01) and 1.0 < factor < 1.1


@pytest.mark.parametrize("name", ["frozen", "scaled"])
def test_a_wrong_theory_that_predicts_as_well_is_no_evidence(name):
    found = evidence(RISING)
    for network in found["natural_size"]:
        for c in network["maps"][0]["cells"]:
            for passed in c["along"]:
                passed[name] = passed["real"]
    assert not natural_size.function_space(found).holds
    assert natural_size.linear_theory(found).holds == (name == "frozen")  # it judges no frozen


def test_predictions_that_are_off_or_uncertain_are_refused():
    off = evidence([0.5] * 6)
    assert not natural_size.function_space(off).holds
    assert not natural_size.linear_theory(off).holds
    everywhere = evidence([0.01] * 6)  # never stops: the second half of the statement is wrong
    assert not natural_size.linear_theory(everywhere).holds


def test_a_mean_of_few_networks_is_judged_by_itself_but_not_of_any_scatter():
    scattered = evidence((0.1, 0.25, 0.4, 0.6, 1.0, 1.6), spread=0.4)  # as seen, three networks
    outcome = natural_size.linear_theory(scattered)
    assert outcome.value + 3.0 * outcome.error_bar > math.log(1.5) > outcome.value
    assert outcome.holds
    (first, *_) = (n for n in scattered["natural_size"] if n["loss"] == natural_size.SQUARED)
    for c in first["maps"][0]["cells"]:
        c["along"][1]["function_space"] = c["along"][1]["real"] + 0.8
    assert not natural_size.linear_theory(scattered).holds  # now the mean is off
    one_is_far = evidence(RISING)
    for c in one_is_far["natural_size"][0]["maps"][0]["cells"]:
        c["along"][1]["function_space"] = c["along"][1]["real"] + 0.95
    outcome = natural_size.linear_theory(one_is_far)
    assert outcome.value < math.log(1.5) and not outcome.holds


def test_runs_that_go_nowhere_judge_nothing():
    still = evidence(RISING)
    for network in still["natural_size"]:
        for c in network["maps"][0]["cells"]:
            c["along"] = []
    assert natural_size.function_space(still).holds is False
    assert natural_size.linear_theory(still).holds is False


def test_a_network_that_stays_below_counts_with_the_largest_distance():
    errors = {0.1: [0.0, 0.0], 1.0: [0.1, 0.1]}
    assert natural_size.stopping_displacement(errors, 0.5)[0] == pytest.approx(1.0)
    errors = {0.1: [0.9, 0.9], 1.0: [1.1, 1.1]}
    assert natural_size.stopping_displacement(errors, 0.5)[0] == pytest.approx(0.1)


def test_other_data_are_reported_and_not_judged():
    found = evidence(RISING)
    for network in found["natural_size"]:
        network |= {"data": "digits", "architecture": "cnn"}
    outcome = natural_size.other_data(found)
    assert outcome.holds is None and "digits" in outcome.measured
    assert np.isnan(outcome.value)


def test_other_networks_say_where_function_space_stops():
    """By hand: 1.5 is passed at half of the logarithm between 2 and 5 % at (0, 2 log 1.5)."""
    limit = math.log(1.5)
    rising = cell([0.0, 2.0 * limit, 5.0, 5.0, 5.0, 5.0])
    assert natural_size._stop(rising) == pytest.approx(math.sqrt(0.02 * 0.05))
    assert natural_size._stop(cell([-3.0] * 6)) == 0.02  # beyond it from the first
    assert natural_size._stop(cell([0.1] * 6)) is None
    cells = [rising, rising, cell([0.1] * 6)]
    found = {"architecture": "resnet8", "data": "digits", "loss": "cross_entropy",
             "maps": [{"displacement": 0.0, "cells": cells}]}  # fmt: skip
    text = natural_size.other_data({"natural_size": [found]}).measured
    assert "it is at 3.16% ×÷1.00 (2 cells)" in text
    found["maps"][0]["cells"] = [rising]
    assert "in one cell alone" in natural_size.other_data({"natural_size": [found]}).measured


def test_what_rounding_starts_is_no_evidence():
    """Under half squared error runs from w* itself grow from rounding; the logistic loss moves."""
    found = evidence(RISING)
    alone = natural_size.linear_theory(found), natural_size.function_space(found)
    for network in found["natural_size"]:
        rounding = [cell([9.0] * 6) for _ in range(4)]
        network["maps"].insert(0, {"displacement": 0.0, "flipped": 0.0, "cells": rounding})
    assert natural_size.linear_theory(found).value == alone[0].value
    assert natural_size.function_space(found).value != alone[1].value
