"""The environment of a service in the compose file, translated to the test servers."""

import os
import re

import pytest
from sqlalchemy import make_url

from shared import db
from shared.settings import SERVICES
from tests.deploy.factories import COMPOSE
from tests.installation import AMQP_URI, ROOT, SERVER, free_port


@pytest.fixture(scope="module")
def translate(tmp_path_factory):
    """Translate a service's environment to the test servers; databases of our own, dropped at the end."""
    keys = tmp_path_factory.mktemp("keys")
    prefix = f"tq_compose_{os.getpid()}"

    def environment(name: str) -> dict[str, str]:
        made = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "TUANQIAO_LOG": "WARNING",
            "DATABASE_URL": "postgresql://nobody@nowhere.invalid:1/",
        }
        for variable, value in COMPOSE["services"][name].get("environment", {}).items():
            if variable.endswith("DATABASE_URL"):
                database = make_url(re.sub(r"\$\{\w+:-(\w+)\}", r"\1", value)).database.replace(
                    "tuanqiao", prefix
                )
                value = (
                    db.address(SERVER)
                    .set(drivername="postgresql", database=database)
                    .render_as_string(hide_password=False)
                )
            elif variable == "AMQP_URI":
                value = AMQP_URI
            elif variable == "TUANQIAO_KEYS":
                value = str(keys)
            elif variable == "TUANQIAO_HEALTH_PORT":
                value = str(free_port())
            elif variable == "TUANQIAO_HEALTH_HOST":
                value = "127.0.0.1"
            made[variable] = value
        return made

    yield environment
    for service in SERVICES:
        db.drop_database(
            str(db.address(SERVER).set(database=f"{prefix}_{service}").render_as_string(hide_password=False))
        )
