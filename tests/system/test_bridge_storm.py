"""The short forms of `make storm-bridges`, always with the same dice."""

import pytest

from tests.storm.bridges.storm import Weather, blow


@pytest.mark.long
@pytest.mark.timeout(400)
def test_a_small_storm_over_bridges(first_town, tmp_path):
    """FED-10, FED-11: sixty members cross borders while all faults are on: none doubled or lost."""
    outcome = blow(first_town, tmp_path, Weather(60, kills=3, seed=1, seconds=6, settle=240))
    print("\n".join(outcome.figures))
    assert outcome.wrong == []


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_storm_over_bridges(first_town, tmp_path):
    """FED-10, FED-11: four hundred members, and ten kills."""
    outcome = blow(first_town, tmp_path, Weather(400, kills=10, seed=2, seconds=45, settle=600))
    print("\n".join(outcome.figures))
    assert outcome.wrong == []
