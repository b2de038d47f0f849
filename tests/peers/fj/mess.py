"""What is untidy at FJ, each by its name, all by one seed; and the speed by which every wait is divided."""

import random

BEHIND = 7 * 60  # seconds
LATE = 60  # seconds of FJ by which a message is late at most
DAY = 86_400  # seconds of FJ

FAULTS = {
    "repeat": "sends messages twice in one request, and again after they were receipted",
    "reorder": "sends a message up to a minute late, and others before it",
    "flip": "flips bits of a message, or of an answer",
    "truncate": "sends the beginning of a message, of a request, or of an answer",
    "expired": "signs with the key of before, which is not valid any more",
    "foreign": "signs with a key that nobody has been given",
    "rotate": "changes its key in mid-run, and signs before the new one has been brought",
    "behind": "its clock is 7 minutes behind",
    "yesterday": "sends all of yesterday's messages again",
    "active": "offers people who have left and are active at the peer",
    "checksum": "offers people whose numbers have a wrong checksum",
    "twice": "offers somebody who is being offered already",
    "phantom": "says that somebody has been integrated who was never offered",
}
SPOILS = ("flip", "truncate", "expired", "foreign")
ODDS = {"repeat": 0.3, "reorder": 0.5, "flip": 0.2, "truncate": 0.2, "expired": 0.2, "foreign": 0.2}
ODDS |= {"active": 0.15, "checksum": 0.15, "twice": 0.15, "phantom": 0.15}


class Mess:
    """The faults that are switched on."""

    def __init__(self, names: set[str], seed: int, speed: float) -> None:
        if unknown := names - set(FAULTS):
            raise ValueError(f"no such faults: {', '.join(sorted(unknown))}")
        self.names, self.seed, self.speed = names, seed, speed

    def dice(self, *about) -> random.Random:
        """Return the draws for one occasion: the same after a restart."""
        return random.Random("/".join(map(str, (self.seed, *about))))

    def strikes(self, name: str, *about) -> bool:
        """Return whether a fault happens on an occasion; never where it is switched off."""
        return name in self.names and self.dice(name, *about).random() < ODDS[name]

    def real(self, seconds: float) -> float:
        """Return how many true seconds so many of FJ's are."""
        return seconds / self.speed


def flipped(text: str, dice: random.Random) -> str:
    """Return a text with one bit of one character changed."""
    at = dice.randrange(len(text))
    return text[:at] + chr(ord(text[at]) ^ 1 << dice.randrange(6)) + text[at + 1 :]


def cut(text: str, dice: random.Random) -> str:
    """Return the beginning of a text."""
    return text[: dice.randrange(1, len(text))]
