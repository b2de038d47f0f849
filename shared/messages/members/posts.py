"""Who holds which post where (CADRE, ADM-16)."""

from __future__ import annotations

from uuid import UUID

import msgspec

from shared.errors import Refusal
from shared.messages import Command, Query, words
from shared.messages.limits import (
    IdNumber,
    Instant,
    OrgId,
    PersonId,
    PersonName,
    Phone,
    PostCode,
    ShortLine,
)


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """A post that a person holds in an organisation (CADRE-02, CADRE-05)."""

    org_id: int
    person_id: int
    post: words.PostCode
    name: str = ""
    complete: bool = False
    began_at: Instant | None = None


class SetPost(msgspec.Struct, frozen=True, kw_only=True):
    """Give a person a post in an organisation, change it, or take it away (empty).

    CADRE-01, CADRE-03, CADRE-04, ADM-02, ADM-03. The person is named by `person_id`, or by `name`
    and `id_number`; anyone not registered yet gets an account (ORG-17).
    """

    command_id: UUID
    org_id: OrgId
    post: PostCode
    person_id: PersonId | None = None
    name: PersonName = ""
    id_number: IdNumber = ""
    phone: Phone = ""
    ethnic_group: ShortLine = ""


class PostSet(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to one item of `set_posts`."""

    person_id: int | None = None
    refusal: Refusal | None = None


class ListCadres(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for the cadres of an organisation with their completeness (CADRE-07)."""

    org_id: OrgId


set_posts = Command("members", "set_posts", SetPost, PostSet)

list_cadres = Query("members", "list_cadres", ListCadres, list[Post])
