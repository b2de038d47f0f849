"""Percentiles that are what they are called: the nearest rank, and none from too few samples."""

from __future__ import annotations

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least `percent` of the values do not exceed.

    Raises:
        ValueError: There are so few values that this would only be the largest of them:
            20 are needed for a p95, 100 for a p99.

    """
    needed = round(100 / (100 - percent))
    if len(values) < needed:
        raise ValueError(f"p{percent:g} of {len(values)} values: {needed} are needed")
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]
