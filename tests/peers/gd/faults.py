"""What goes wrong at GD, each by its name, all by one seed; and the speed by which every wait is divided."""

import random
import threading

HOUR = 3600.0  # seconds of GD
FIRST_OUTAGE = 2 * HOUR
BETWEEN_OUTAGES = (4 * HOUR, 8 * HOUR)
OUTAGE = (1 * HOUR, 2 * HOUR)

FAULTS = {
    "slow": "2 to 20 s until an answer",
    "outage": "away for one to two hours, announced by 503 or not at all",
    "busy": "429 and 503 with Retry-After",
    "hangup": "closes the connection after its commit, without an answer",
    "early": "sends later messages before earlier ones",
    "rename": "renames an organisation while its directory is paged",
    "spoilt": "hands over a record that has no content",
}


class Faults:
    """The faults that are switched on; `chance` of one is a draw from its own sequence."""

    def __init__(self, names: set[str], seed: int, speed: float):
        unknown = names - set(FAULTS)
        if unknown:
            raise ValueError(f"no such faults: {', '.join(sorted(unknown))}")
        self.names = names
        self.paused = False  # by somebody at the desk
        self.seed = seed
        self.speed = speed
        self._lock = threading.Lock()
        self._draws = {name: random.Random(f"{seed}/fault/{name}") for name in FAULTS}

    def real(self, seconds: float) -> float:
        """Return how many true seconds so many of GD's are."""
        return seconds / self.speed

    def strikes(self, name: str, odds: float) -> bool:
        """Return whether the fault happens this time; never where it is switched off."""
        with self._lock:
            return name in self.names and self._draws[name].random() < odds

    def between(self, name: str, low: float, high: float) -> float:
        """Return true seconds, drawn between two durations of GD's; 0 where the fault is switched off."""
        if name not in self.names:
            return 0.0
        with self._lock:
            return self.real(self._draws[name].uniform(low, high))

    def outage_left(self, since_start: float) -> float:
        """Return the true seconds until the outage ends that is on so long after the first start; or 0."""
        if "outage" not in self.names:
            return 0.0
        chance = random.Random(f"{self.seed}/outages")
        at = self.real(FIRST_OUTAGE)
        while at <= since_start:
            end = at + self.real(chance.uniform(*OUTAGE))
            if since_start < end:
                return end - since_start
            at = end + self.real(chance.uniform(*BETWEEN_OUTAGES))
        return 0.0
