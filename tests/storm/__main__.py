"""A storm over a whole installation of its own (`make storm MINUTES=10 SEED=1`, `QUICK=1` for two minutes).

`PACE=` are the seconds between two faults on average, `ONLY=` is a part of the name of those wanted,
`REPLICAS=` is how many processes there are of each service, scheduler and gateway (2).

Processes, PostgreSQL and broker nodes are killed, frozen, cut off and slowed down while offices work; then
an auditor reads what became of their transfers. Exits with 1 if anything is not as it should be.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import sqlalchemy as sa

from shared.bus.rpc import RpcClient
from shared.messages.members import GraduateChanged
from shared.outbox import insert, tell
from tests.bench import drive, load
from tests.bench.quantiles import percentile
from tests.storm import auditor, faults
from tests.storm.offices import Caller, Deadlines, Office, Tally
from tests.storm.processes import Fleet
from tests.storm.servers import Missing
from tests.storm.usage import explain

OFFICES = 9
PER_SECOND = 450
"""Members that are loaded, for each second of the storm."""


class Storm:
    """One storm, from the empty machine to the table."""

    def __init__(self, seed: int, seconds: float, pace: float, only: str = "", replicas: int = 2) -> None:
        """Take the seed of the dice, how long it blows, and the seconds between two faults on average.

        With `only` no other faults happen than those with these words in their name.
        """
        self.seed, self.seconds = seed, seconds
        folder = Path(tempfile.mkdtemp(prefix=f"tuanqiao-storm-{seed}-", dir="/var/tmp"))
        folder.chmod(0o755)  # the user postgres goes through it
        self.fleet = Fleet(folder, replicas)
        self.tally = Tally()
        self.weather = faults.Weather(self.fleet, longest=max(4.0, seconds / 6))
        self.conductor = faults.Conductor(self.weather, f"faults {seed}", pace, only)
        self.began = 0.0
        self.settled: float | None = None
        self.seconds_set_up = 0.0

    def run(self) -> list[auditor.Finding]:
        """Set up, blow, settle, audit; return every count that should be 0."""
        began = time.monotonic()
        self.fleet.create()
        people = max(8_000, int(PER_SECOND * self.seconds))
        load.organisations(self.fleet)
        load.people(self.fleet, people)
        self._tell_of_graduates()
        self.fleet.start()
        self.seconds_set_up = time.monotonic() - began
        client = RpcClient(self.fleet.settings)
        offices = self._offices(client, drive.Members(people))
        deadlines = Deadlines(self.fleet, self.tally)
        for thread in (*offices, deadlines):
            thread.start()
        self.began = time.time()
        self.conductor.blow(self.seconds)
        self.tally.over.set()
        ends = time.monotonic() + auditor.SETTLE_SECONDS
        for office in offices:
            office.join(max(0.1, ends - time.monotonic()))
        while self.tally.left and time.monotonic() < ends:
            time.sleep(0.1)
        left = auditor.settled(self.fleet, max(5.0, ends - time.monotonic()))
        self.settled = None if left is None else auditor.SETTLE_SECONDS - (ends - time.monotonic())
        self.tally.gone.set()
        client.close()
        return [
            auditor.Finding("offices that still wait", sum(one.is_alive() for one in offices)),
            auditor.Finding(
                f"not settled {auditor.SETTLE_SECONDS} s after the last fault", int(left is None)
            ),
            *auditor.audit(self.fleet, self.tally),
            auditor.Finding(
                "what faults found", len(self.weather.problems), "; ".join(self.weather.problems[:5])
            ),
        ]

    def _tell_of_graduates(self) -> None:
        """Have members tell the statistics of everybody who was loaded, through the storm."""
        flagged = """
            SELECT person_id AS member_id, 2026 AS cohort, branch_id,
                   true AS counts, now() AS at, person_id AS version
            FROM people WHERE graduate"""
        with self.fleet.engine("members").begin() as tx:
            tx.execute(sa.text(f"WITH flagged AS ({flagged}) {insert(tell(GraduateChanged, 'flagged'))}"))

    def _offices(self, client: RpcClient, members: drive.Members) -> list[Office]:
        """Return the offices, each with schools of its own; every third goes through the gateways."""
        schools = load.schools(self.fleet.settings.keys)
        return [
            Office(
                Caller(self.fleet, self.tally, None if n % 3 == 0 else client),
                schools[n::OFFICES],
                members,
                f"office {n} of {self.seed}",
            )
            for n in range(OFFICES)
        ]

    def table(self, findings: list[auditor.Finding]) -> str:
        """Return what is printed."""
        fleet, happened = self.fleet, self.conductor.happened
        lines = [f"storm of {self.seconds:.0f} s, seed {self.seed}, set up in {self.seconds_set_up:.0f} s"]
        ends = [self.began, *auditor.ends(fleet), time.time()]
        stalls = auditor.stalls(happened, ends)
        lines.append(f"{'fault':<30}{'times':>6}  longest stall of the saga around it: median, worst")
        for kind, number in Counter(one.kind for one in happened).most_common():
            middle, worst = statistics.median(stalls[kind]), max(stalls[kind])
            lines.append(f"{kind:<30}{number:>6}  {middle:>6.1f} s {worst:>6.1f} s")
        kills = ", ".join(f"{name} {number}" for name, number in fleet.kills.most_common())
        servers = sum(one.kind in ("PostgreSQL killed", "broker node killed") for one in happened)
        lines.append(f"kill -9: {sum(fleet.kills.values()) + servers} (servers {servers}, {kills})")
        lines.append(f"ended by themselves: {sum(fleet.by_themselves.values())}")
        lines += [f"    {number} x {how}" for how, number in fleet.by_themselves.most_common()]
        tenth = self.seconds / 10
        tenths = [sum(n * tenth <= at - self.began < (n + 1) * tenth for at in ends) for n in range(10)]
        lines.append(f"transfers that ended in each tenth of the storm: {' '.join(map(str, tenths))}")
        lines += [*self._work(), ""]
        bad = [one for one in findings if one.count]
        lines += [f"{one.what:<75}{one.count:>7}  {one.some}".rstrip() for one in findings]
        lines += [
            "",
            "as it should be"
            if not bad
            else f"NOT as it should be: seed {self.seed}, logs in {fleet.folder}",
        ]
        return "\n".join(lines)

    def _work(self) -> list[str]:
        with self.fleet.engine("transfers").connect() as tx:
            rows = tx.execute(
                sa.text("SELECT state, count(*) FROM transfers GROUP BY 1 ORDER BY 2 DESC")
            ).all()
        states = ", ".join(f"{state} {number}" for state, number in rows)
        calls = sorted(self.tally.seconds)
        settled = (
            "not settled" if self.settled is None else f"settled {self.settled:.1f} s after the last fault"
        )
        return [
            f"transfers: {sum(number for _, number in rows)} ({states}); {settled}",
            f"calls: {len(calls)}, p50 {statistics.median(calls):.2f} s, p99 {percentile(calls, 99):.2f} s,"
            f" longest {calls[-1]:.1f} s; repeated: {self.tally.repeats or 'none'}",
        ]

    def close(self, keep: bool) -> None:
        """End everything; leave the logs where somebody has to read them."""
        self.fleet.close()
        if not keep:
            shutil.rmtree(self.fleet.folder)
            return
        for name in ("postgres", "rabbitmq", "keys"):
            shutil.rmtree(self.fleet.folder / name)


def main() -> int:
    """Run the storm that the environment asks for; return the exit code."""
    explain("tests.storm", __doc__)
    quick = bool(os.environ.get("QUICK"))
    signal.signal(
        signal.SIGTERM, lambda number, frame: sys.exit(1)
    )  # servers and files are put away then, too
    seconds = 60 * float(os.environ.get("MINUTES") or (2 if quick else 10))
    seed = int(os.environ.get("SEED") or random.randrange(1_000_000))
    pace = float(os.environ.get("PACE") or 1.0)
    replicas = int(os.environ.get("REPLICAS") or 2)
    print(f"seed {seed}", flush=True)
    try:
        storm = Storm(seed, seconds, pace, os.environ.get("ONLY", ""), replicas)
    except Missing as missing:
        print(missing)
        return 1
    bad = True
    try:
        findings = storm.run()
        bad = any(one.count for one in findings)
        print(storm.table(findings))
    finally:
        storm.close(keep=bad)
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
