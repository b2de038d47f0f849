"""Settings: read in one place, listed on one page, and a sentence where a value cannot be meant."""

import os
import re
import subprocess
import sys
from importlib import import_module

import pytest
import sqlalchemy as sa

from services.federation import settings as federation_settings
from services.gateway import settings as gateway_settings
from services.members import settings as members_settings
from services.orgs import settings as orgs_settings
from services.transfers import settings as transfers_settings
from shared import db, settings
from shared.settings import SERVICES, Environment, Wrong
from tests.installation import ROOT


class Noted(dict):
    """An environment that keeps which names it was asked for."""

    def __init__(self, **values: str) -> None:
        super().__init__(values)
        self.names: set[str] = set()

    def get(self, name, default=None):
        self.names.add(name)
        return super().get(name, default)


def read_all(values: dict[str, str]) -> None:
    """Read the settings of every process."""
    environment = Environment(values)
    common = settings.from_environment(environment)
    settings.log_level(environment)
    for own in (members_settings, orgs_settings, transfers_settings):
        own.read(environment, common)
    for peer in common.peers:
        federation_settings.read(peer, environment, common)
    gateway_settings.read(environment)


def test_every_name_that_is_read_is_listed():
    """docs/settings.md lists every name that is read, each in one row, and no other."""
    noted = Noted(TUANQIAO_PEERS="BJ,GD,FJ")
    read_all(noted)
    rows = re.findall(r"^\| (`.+?`) \|", (ROOT / "docs" / "settings.md").read_text(), re.MULTILINE)
    listed = [name for row in rows for name in re.findall(r"`([A-Z_]+)`", row)]
    assert noted.names
    assert sorted(listed) == sorted(noted.names)


def test_the_environment_is_read_in_one_place():
    """Nothing but `shared/settings.py` reads the environment: all else is given what it needs."""
    found = [
        str(path.relative_to(ROOT))
        for folder in ("services", "shared", "system")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if re.search(r"\bos\.(environ|getenv)|from os import", path.read_text("utf-8"))
    ]
    assert found == ["shared/settings.py"]


def test_nothing_set_is_the_default():
    """An empty environment, and one of empty values, say what the settings say by themselves."""
    for values in (Noted(), dict.fromkeys(_names(), "")):
        environment = Environment(values)
        common = settings.from_environment(environment)
        made = gateway_settings.read(environment)
        assert (made.import_max_rows, made.sheets_at_once, made.public_url) == (1000, 2, "")
        for own in (members_settings, orgs_settings, transfers_settings):
            made, default = own.read(environment, common), own.Settings()
            differ = [name for name in vars(default) if getattr(made, name) != getattr(default, name)]
            assert differ in ([], ["practice"])


def _names() -> set[str]:
    noted = Noted()
    read_all(noted)
    return noted.names


@pytest.mark.parametrize(
    "name, value, wanted",
    [
        ("TUANQIAO_LETTER_VALID_DAYS", "abc", "a whole number from 0 to"),
        ("TUANQIAO_LETTER_VALID_DAYS", "1.5", "a whole number from 0 to"),
        ("TUANQIAO_LETTER_VALID_DAYS", "-1", "a whole number from 0 to"),
        ("TUANQIAO_LETTER_VALID_DAYS", "nan", "a whole number from 0 to"),
        ("TUANQIAO_MIGRATION_DAYS", "1e9", "a number from 0 to"),
        ("TUANQIAO_RESET_CODE_HOURS", "a day", "a number from 0 to"),
        ("TUANQIAO_REGISTRATION_CODE_DAYS", "inf", "a number from 0 to"),
        ("TUANQIAO_IMPORT_MAX_ROWS", "0", "a whole number from 1 to"),
        ("TUANQIAO_HEALTH_PORT", "70000", "a whole number from 0 to 65535"),
        ("TUANQIAO_INITIAL_PASSWORD_TAIL", "eight", "a whole number from 0 to"),
        ("TUANQIAO_OBSERVERS", "yes", "one of false, true"),
        ("TUANQIAO_MEMBER_MARK_BY_BRANCH", "no", "one of true, false"),
        ("TUANQIAO_CAPTCHA", "on", "one of off, picture"),
        ("TUANQIAO_FIRST_CREDENTIAL", "code", "one of id_tail, activation_code"),
        ("TUANQIAO_RETENTION_START", "mark", "one of graduation, marked"),
        ("TUANQIAO_RETENTION_FROM", "7-31", "a month and a day such as 07-31"),
        ("TUANQIAO_GRADUATION_SWITCH", "13-01", "a month and a day such as 07-31"),
        ("TUANQIAO_SMTP", "mail.example:smtp", "host or host:port"),
        ("TUANQIAO_LOG", "LOUD", "one of WARNING, DEBUG"),
    ],
)
def test_what_cannot_be_meant_is_named(name, value, wanted):
    """A value that cannot be meant is refused with the setting's name, the value and what is wanted."""
    with pytest.raises(Wrong) as wrong:
        read_all({name: value})
    assert str(wrong.value).startswith(f"{name} is {value!r}; it has to be {wanted}")


@pytest.mark.parametrize("name", ["TUANQIAO_NUMBER_RANGES", "TUANQIAO_PRACTICE"])
@pytest.mark.parametrize("text", [None, "not,a\nfile = of [this kind\n"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, text):
    """A setting that names a file which is missing, or is no such file, is named with what is wrong."""
    file = tmp_path / "given"
    if text is not None:
        file.write_text(text)
    with pytest.raises(Wrong, match=f"^{name}: .+"):
        read_all({name: str(file)})


@pytest.mark.parametrize("words", [["serve", "members"], ["gateway"]])
def test_a_wrong_setting_ends_the_start_with_a_sentence(words):
    """The command ends at once with a line that says which setting is wrong and what is wanted, not a trace.

    Neither a broker nor a database is waited for.
    """
    wrong = {"TUANQIAO_LETTER_VALID_DAYS": "abc", "TUANQIAO_TRUSTED_PROXIES": "one"}
    ended = subprocess.run(
        [sys.executable, "-m", "system.cli", *words],
        cwd=ROOT,
        env={**os.environ, **wrong, "AMQP_URI": "amqp://nowhere.invalid//"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    name = "TUANQIAO_LETTER_VALID_DAYS" if words[0] == "serve" else "TUANQIAO_TRUSTED_PROXIES"
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert ended.stderr.strip().splitlines()[-1].startswith(f"{name} is ")


def test_a_transaction_knows_the_settings_of_its_service():
    """What an engine was given is what its transactions know, at once; without anything, the defaults."""
    engine = sa.create_engine("sqlite://")
    with engine.connect() as tx:
        assert orgs_settings.of(tx).observers is False
        db.give_settings(engine, orgs_settings.Settings(observers=True))
        assert orgs_settings.of(tx).observers is True
        assert orgs_settings.of(engine).observers is True
        # another service's code on this engine is a mistake, not a case for the defaults
        with pytest.raises(TypeError, match=r"services\.transfers\.settings"):
            transfers_settings.of(tx)
    engine.dispose()


def test_https_is_on_by_its_word_alone():
    """`false` switches it off, and what means neither is refused."""
    read = gateway_settings.read
    assert read(Environment({"TUANQIAO_HTTPS": "true"})).https is True
    assert read(Environment({"TUANQIAO_HTTPS": "false"})).https is False
    assert read(Environment({})).https is False
    with pytest.raises(settings.Wrong, match="TUANQIAO_HTTPS"):
        read(Environment({"TUANQIAO_HTTPS": "maybe"}))


def test_each_service_reads_its_own():
    """Every service that has settings of its own says so to whoever starts it."""
    for name in SERVICES:
        service = import_module(f"services.{name}.service").Service
        own = service.read_settings(Environment({}), settings.from_environment(Environment({})))
        has = (ROOT / "services" / name / "settings.py").exists()
        assert (own is not None) is has
