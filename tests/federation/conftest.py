"""Two ends of a bridge on real databases."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from services.federation import models
from shared import clock
from tests.federation.factories import DAY, End, two_sides


@pytest.fixture(scope="module")
def engines(scratch) -> tuple[sa.Engine, sa.Engine]:
    return scratch(models.metadata), scratch(models.metadata)


@pytest.fixture
def ends(engines, tmp_path) -> Iterator[tuple[End, End]]:
    """Our end and that of BJ; what they hold is thrown away afterwards."""
    here, there = two_sides(tmp_path)
    yield End(engines[0], "national", "BJ", here), End(engines[1], "BJ", "national", there)
    for engine in engines:
        with engine.begin() as tx:
            for table in models.metadata.sorted_tables:
                if table.name not in ("audit_log", "audit_heads"):  # of those nothing can be deleted
                    tx.execute(sa.delete(table))


@pytest.fixture
def here(ends) -> End:
    return ends[0]


@pytest.fixture
def there(ends) -> End:
    return ends[1]


@pytest.fixture
def today(here, there) -> None:
    """Let both ends live today, by the clock of the process, with keys that are valid."""
    for end, other in ((here, there), (there, here)):
        end.now = clock.now()
        other.bridge.keys.add(end.bridge.keys.rotate(clock.now() - 2 * DAY))
