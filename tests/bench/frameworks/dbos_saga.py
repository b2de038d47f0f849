"""Transfers as DBOS workflows: each step a transaction with its checkpoint, several lists under way.

Reads a JSON from standard input: `url` of the database that has the tables and `system` of DBOS's own, the
`steps` with `:members`, `:ids`, `:commands` and `:branch`, `size` of a list, `under_way`, `seconds`, the
`first` number of a transfer and of a member. Prints how many were completed and in how many seconds.
"""

import json
import sys
import threading
import time
import uuid

import sqlalchemy as sa
from dbos import DBOS, DBOSConfig, SQLAlchemyDatasource

asked = json.load(sys.stdin)
STEPS = [sa.text(step) for step in asked["steps"]]
DBOS(
    config=DBOSConfig(
        name="saga",
        system_database_url=asked["system"],
        sys_db_pool_size=2 * asked["under_way"],
        log_level="ERROR",
        executor_id=asked["executor"],
        application_version="1",
        run_admin_server=False,
    )
)
tables = SQLAlchemyDatasource.create(
    database_url=asked["url"], engine_kwargs={"pool_size": asked["under_way"], "max_overflow": 4}
)


@tables.transaction(isolation_level="READ COMMITTED")
def step(number: int, first: int, member: int) -> None:
    """Take a list of transfers through one step."""
    numbers = range(asked["size"])
    values = {
        "members": [member + n for n in numbers],
        "ids": [first + n for n in numbers],
        "commands": [str(uuid.uuid5(uuid.NAMESPACE_OID, str(first + n))) for n in numbers],
        "branch": 7,
    }
    wanted = STEPS[number]
    tables.sql_session().execute(wanted, {name: values[name] for name in wanted._bindparams})


@DBOS.workflow()
def transfer(first: int, member: int) -> None:
    """Take a list of transfers from the request to the end."""
    for number in range(len(STEPS)):
        step(number, first, member)


def main() -> None:
    """Run until the time is over; print what was done."""
    DBOS.launch()
    ends = time.monotonic() + asked["seconds"]
    done = [0] * asked["under_way"]

    def work(n: int) -> None:
        while time.monotonic() < ends:
            place = (done[n] * asked["under_way"] + n) * asked["size"]
            transfer(asked["first"] + place, asked["member"] + place)
            done[n] += 1

    began = time.monotonic()
    threads = [threading.Thread(target=work, args=(n,)) for n in range(asked["under_way"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - began
    print(json.dumps({"done": sum(done) * asked["size"], "seconds": took}), flush=True)
    DBOS.destroy()


if __name__ == "__main__":
    main()
