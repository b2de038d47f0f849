"""What members holds for transfers, read in pieces for the comparison of the services. Only SQL."""

from __future__ import annotations

from typing import NamedTuple

from shared.readings import Reading


class Held(NamedTuple):
    """A member whom a transfer holds."""

    person_id: int
    transfer_id: int


class Moves(NamedTuple):
    """The transfers that have moved a member, each with its branch; a place in both lists."""

    person_id: int
    transfer_ids: list[int]
    branch_ids: list[int]


HELD = Reading(
    Held,
    "people",
    "person_id",
    "SELECT person_id, reserved_by AS transfer_id FROM people"
    " WHERE {wanted} AND reserved_by IS NOT NULL ORDER BY person_id",
)
# An index on reserved_by would find the few more quickly, and cost each reservation and each release a
# second write: so the people are read, by their key.

MOVES = Reading(
    Moves,
    "memberships",
    "person_id",
    "SELECT person_id, array_agg(transfer_id ORDER BY transfer_id) AS transfer_ids,"
    " array_agg(branch_id ORDER BY transfer_id) AS branch_ids FROM memberships"
    " WHERE {wanted} AND transfer_id IS NOT NULL GROUP BY person_id ORDER BY person_id",
)
