"""The short form of `make storm`: half a minute, always the same dice."""

import pytest

from tests.storm.__main__ import Storm
from tests.storm.servers import Missing


@pytest.mark.long
@pytest.mark.timeout(290)
@pytest.mark.rule("BEY-05", "TRF-02", "TRF-35", "DL-19")
def test_a_storm_loses_and_doubles_nothing():
    """BEY-05, TRF-02, TRF-35, DL-19: whatever is killed, frozen or cut off, each transfer ends once."""
    try:
        storm = Storm(seed=1, seconds=20, pace=1.0)
    except Missing as missing:
        pytest.skip(str(missing))
    keep = True
    try:
        findings = storm.run()
        print(storm.table(findings))
        assert [one for one in findings if one.count] == []
        keep = False
    finally:
        storm.close(keep)
