"""Mirrored branches beside the small tree, and registries on both sides of the bridges."""

import shutil

import pytest

from services.members.crossings import seals
from services.members.sealing.keys import keys as loaded
from shared import clock, directory
from shared.messages.words import PEERS
from tests.members.crossings.factories import MIRRORED, mirrored


@pytest.fixture(scope="module")
def peers(engine, keys, tmp_path_factory):
    """The registries of the three other systems, by system; each knows ours and is known to it."""
    assert loaded.folder == keys
    seals.make_keys(keys, clock.now())
    seals._registry.cache_clear()
    ours = seals.files(keys).published()  # other modules may have made more
    made = {}
    for peer in PEERS:
        folder = tmp_path_factory.mktemp(str(peer))
        # the folder of keys is one for all modules
        shutil.rmtree(keys / "registry" / str(peer), ignore_errors=True)
        seals.make_keys(folder, clock.now())
        there = seals.Registry(folder)
        for key in there.files.published():
            seals.files(keys).add(str(peer), key)
        # to whoever sits there, we are one of the systems that they know a key of
        for key in ours:
            there.files.add(str(PEERS[0]), key)
        made[str(peer)] = there
    return made


@pytest.fixture(scope="module")
def engine(engine):
    """The database of members, with the branches of other systems."""
    with engine.begin() as tx:
        directory.on_org_changed(tx, [mirrored(*one) for one in MIRRORED])
    return engine
