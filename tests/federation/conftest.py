"""Two ends of a bridge on real databases."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from services.federation import models
from tests.federation.factories import End, two_sides


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
            tables = ", ".join(table.name for table in models.metadata.sorted_tables)
            tx.execute(sa.text(f"TRUNCATE {tables}"))


@pytest.fixture
def here(ends) -> End:
    return ends[0]


@pytest.fixture
def there(ends) -> End:
    return ends[1]
