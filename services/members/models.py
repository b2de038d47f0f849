"""The tables of the members service."""

from __future__ import annotations

import sqlalchemy as sa

from shared import audit, db, directory, inbox, lives, outbox, sessions_ended, throttle

metadata = db.metadata()
_time = sa.DateTime(timezone=True)

people = sa.Table(
    "people",
    metadata,
    sa.Column("person_id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("id_sealed", sa.LargeBinary, nullable=False),
    sa.Column("id_index", sa.LargeBinary, nullable=False),
    sa.Column("phone_sealed", sa.LargeBinary),
    sa.Column("ethnic_group", sa.Text, nullable=False, server_default=""),
    sa.Column("joined_on", sa.Date),
    sa.Column("development_number", sa.Text, nullable=False, server_default=""),
    sa.Column(
        "number_from",
        sa.Date,
        nullable=False,
        server_default="2017-01-01",
        comment="who joined from then on needs a development number; by province (MEM-08)",
    ),
    sa.Column("born_on", sa.Date, comment="from the ID number"),
    sa.Column(
        "found_on",
        sa.Date,
        comment="when work or study was found, of who waits in a hand-over branch (TYPE-16)",
    ),
    sa.Column("contact_sealed", sa.LargeBinary, comment="common contact"),
    sa.Column("emergency_sealed", sa.LargeBinary, comment="emergency contact"),
    sa.Column(
        "party",
        sa.Boolean,
        nullable=False,
        server_default="false",
        comment="a Party member who keeps membership",
    ),
    sa.Column(
        "to_contact",
        sa.Boolean,
        nullable=False,
        server_default="false",
        comment="has arrived and was not contacted yet",
    ),
    sa.Column("branch_id", sa.BigInteger, comment="null: no membership"),
    sa.Column("reserved_by", sa.BigInteger, comment="the open transfer that holds the member"),
    sa.Column("reserved_target_id", sa.BigInteger),
    sa.Column("graduate", sa.Boolean, nullable=False, server_default="false"),
    sa.Column("graduates_on", sa.Date),
    sa.Column("mark", sa.Text, nullable=False, server_default="", comment="own, delayed, teacher"),
    sa.Column("mark_reason", sa.Text, nullable=False, server_default=""),
    sa.Column("identity_check", sa.Text, nullable=False, server_default="unchecked"),
    sa.Column(
        "identity_checked_at",
        _time,
        nullable=False,
        server_default="1970-01-01 00:00:00+00",
        comment="when it was tried last",
    ),
    sa.Column(
        "complete",
        sa.Boolean,
        sa.Computed(
            "name <> '' AND ethnic_group <> '' AND phone_sealed IS NOT NULL"
            " AND (branch_id IS NULL OR (joined_on IS NOT NULL"
            " AND (joined_on < number_from OR development_number <> '')))",
            persisted=True,
        ),
        comment="every required field is filled (MEM-22)",
    ),
    sa.Column("created_at", _time, nullable=False, server_default=sa.text("clock_timestamp()")),
    sa.UniqueConstraint("id_index"),
    sa.Index("ix_people_name", "name"),
    sa.Index(
        "ix_people_identity_check",
        "identity_checked_at",
        postgresql_where=sa.text("identity_check <> 'passed'"),
    ),
    sa.Index("ix_people_branch_id", "branch_id", "person_id"),
    sa.Index("ix_people_graduates", "branch_id", "person_id", postgresql_where=sa.text("graduate")),
    sa.Index(
        "ix_people_own_time",
        "graduates_on",
        postgresql_where=sa.text("mark IN ('own', 'delayed') AND NOT graduate"),
    ),
    sa.Index(
        "uq_people_development_number",
        "development_number",
        unique=True,
        postgresql_where=sa.text("development_number <> ''"),
    ),
    postgresql_with={"fillfactor": "60"},
)

imports = sa.Table(
    "imports",
    metadata,
    sa.Column("import_id", sa.Uuid, primary_key=True),
    sa.Column("org_id", sa.BigInteger, nullable=False, comment="the organisation that was acted for"),
    sa.Column("person_id", sa.BigInteger, nullable=False),
    sa.Column("started_at", _time, nullable=False),
    sa.Index("ix_imports_started_at", "started_at"),
)

import_rows = sa.Table(
    "import_rows",
    metadata,
    sa.Column("import_id", sa.Uuid, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("state", sa.Text, nullable=False, comment="waiting, entered, failed"),
    sa.Column("row_sealed", sa.LargeBinary, comment="the row as it was read; null once it is entered"),
    sa.Column("problem", sa.Text, nullable=False, server_default=""),
    sa.Index("ix_import_rows_waiting", "import_id", "number", postgresql_where=sa.text("state = 'waiting'")),
)

deleted_people = sa.Table(
    "deleted_people",
    metadata,
    sa.Column("person_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("id_sealed", sa.LargeBinary, nullable=False),
    sa.Column(
        "id_index", sa.LargeBinary, comment="so that nobody is deleted here and entered elsewhere (TRF-36)"
    ),
    sa.Column("branch_id", sa.BigInteger),
    sa.Column("joined_on", sa.Date),
    sa.Column("development_number", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("deleted_at", _time, nullable=False),
    sa.Column("deleted_by", sa.BigInteger, nullable=False),
    sa.Column("deleted_for", sa.BigInteger, nullable=False, comment="the leading body that was acted for"),
    sa.Index("ix_deleted_people_id_index", "id_index"),
)

deletion_requests = sa.Table(
    "deletion_requests",
    metadata,
    sa.Column("person_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("cause", sa.Text, nullable=False),
    sa.Column("explanation", sa.Text, nullable=False),
    sa.Column("requested_by", sa.BigInteger, nullable=False),
    sa.Column("requested_at", _time, nullable=False),
)

branch_marks = sa.Table(
    "branch_marks",
    metadata,
    sa.Column("branch_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("graduates_on", sa.Date, comment="the last day of the month of graduation"),
    sa.Column("reason", sa.Text, nullable=False, comment="why there is no time: teachers, mixed"),
    sa.Column("converted_at", _time, comment="since when it is a graduates' organisation"),
    sa.Column(
        "members", sa.Integer, nullable=False, server_default="0", comment="flagged when it was converted"
    ),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("marked_at", _time, nullable=False),
    sa.Column("marked_by", sa.BigInteger, nullable=False),
    sa.Index(
        "ix_branch_marks_due",
        "graduates_on",
        postgresql_where=sa.text("converted_at IS NULL AND graduates_on IS NOT NULL"),
    ),
)

memberships = sa.Table(
    "memberships",
    metadata,
    sa.Column("person_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("began_at", _time, primary_key=True),
    sa.Column("branch_id", sa.BigInteger, nullable=False),
    sa.Column("ended_at", _time),
    sa.Column("transfer_id", sa.BigInteger),
    sa.Index(
        "uq_memberships_one_open", "person_id", unique=True, postgresql_where=sa.text("ended_at IS NULL")
    ),
    postgresql_with={"fillfactor": "80"},
)

accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("person_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("password_hash", sa.Text, comment="null: still the initial password (ACC-04)"),
    sa.Column("changed_at", _time, comment="null: never"),
    sa.Column(
        "initial_tail",
        sa.SmallInteger,
        nullable=False,
        server_default="8",
        comment="characters of the initial password (ACC-04)",
    ),
)

attempts = throttle.table(metadata)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("session_index", sa.LargeBinary, primary_key=True),
    sa.Column(
        "session_id",
        sa.Uuid,
        nullable=False,
        unique=True,
        server_default=sa.text("gen_random_uuid()"),
        comment="stands in its tokens",
    ),
    sa.Column("address", sa.Text, nullable=False, server_default=""),
    sa.Column("device", sa.Text, nullable=False, server_default=""),
    sa.Column("person_id", sa.BigInteger, nullable=False, index=True),
    sa.Column("created_at", _time, nullable=False, server_default=sa.text("clock_timestamp()")),
    sa.Column("expires_at", _time, nullable=False),
)

reset_codes = sa.Table(
    "reset_codes",
    metadata,
    sa.Column("person_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("code_index", sa.LargeBinary, nullable=False, comment="keyed hash of person and code"),
    sa.Column("expires_at", _time, nullable=False),
    sa.Column("issued_by", sa.BigInteger, comment="null: on the command line"),
    sa.Column("issued_for", sa.BigInteger, comment="the organisation whose right made the code"),
)

sign_ins = sa.Table(
    "sign_ins",
    metadata,
    sa.Column("person_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", _time, primary_key=True),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("device", sa.Text, nullable=False),
    sa.Column("succeeded", sa.Boolean, nullable=False),
    sa.Index("ix_sign_ins_at", "at"),
)

captchas = sa.Table(
    "captchas",
    metadata,
    sa.Column("captcha_id", sa.Uuid, primary_key=True),
    sa.Column("answer_index", sa.LargeBinary, nullable=False, comment="keyed hash"),
    sa.Column("expires_at", _time, nullable=False, index=True),
)

posts = sa.Table(
    "posts",
    metadata,
    sa.Column("org_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("person_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("began_at", _time, primary_key=True),
    sa.Column("post", sa.Text, nullable=False),
    sa.Column("ended_at", _time),
    sa.Column("changed_by", sa.BigInteger),
    sa.Index(
        "uq_posts_one_open", "org_id", "person_id", unique=True, postgresql_where=sa.text("ended_at IS NULL")
    ),
    sa.Index(
        "uq_posts_one_secretary",
        "org_id",
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL AND post = 'secretary'"),
    ),
    sa.Index("ix_posts_person_id", "person_id", postgresql_where=sa.text("ended_at IS NULL")),
)

post_version = sa.Sequence("post_version", metadata=metadata)
graduate_version = sa.Sequence("graduate_version", metadata=metadata)

registration_codes = sa.Table(
    "registration_codes",
    metadata,
    sa.Column("org_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("code_index", sa.LargeBinary, nullable=False, unique=True, comment="keyed hash"),
    sa.Column("expires_at", _time, comment="null: never (ADM-13)"),
    sa.Column("issued_by", sa.BigInteger, nullable=False),
    sa.Column("issued_at", _time, nullable=False),
    sa.Column("spent_by", sa.BigInteger),
    sa.Column("spent_at", _time),
)

registrations = sa.Table(
    "registrations",
    metadata,
    sa.Column("registration_id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("person_id", sa.BigInteger, nullable=False),
    sa.Column("org_id", sa.BigInteger, nullable=False),
    sa.Column("post", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False, server_default=""),
    sa.Column("asked_at", _time, nullable=False),
    sa.Column("expires_at", _time, nullable=False),
    sa.Column("decided_at", _time),
    sa.Column("decided_by", sa.BigInteger),
    sa.Index(
        "uq_registrations_pending", "person_id", unique=True, postgresql_where=sa.text("state = 'pending'")
    ),
    sa.Index("ix_registrations_person_id", "person_id"),
    sa.Index("ix_registrations_org_id", "org_id", postgresql_where=sa.text("state = 'pending'")),
    sa.Index("ix_registrations_expires_at", "expires_at", postgresql_where=sa.text("state = 'pending'")),
)

retentions = sa.Table(
    "retentions",
    metadata,
    sa.Column("retention_id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("command_id", sa.Uuid, nullable=False, unique=True),
    sa.Column("member_id", sa.BigInteger, nullable=False),
    sa.Column("branch_id", sa.BigInteger, nullable=False, index=True),
    sa.Column("kind", sa.Text, nullable=False, comment="abroad, retained"),
    sa.Column("since", sa.Date, nullable=False),
    sa.Column("until", sa.Date, nullable=False),
    sa.Column("place", sa.Text, nullable=False),
    sa.Column("contact_name", sa.Text, nullable=False),
    sa.Column("contact_phone_sealed", sa.LargeBinary),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False, comment="requested, approved, refused, ended"),
    sa.Column("note", sa.Text, nullable=False, server_default=""),
    sa.Column("reports", sa.ARRAY(sa.Text), nullable=False, server_default="{}"),
    sa.Column("requested_by", sa.BigInteger, nullable=False),
    sa.Column("requested_at", _time, nullable=False),
    sa.Column("decided_by", sa.BigInteger),
    sa.Column("decided_at", _time),
    sa.Index(
        "uq_retentions_open",
        "member_id",
        unique=True,
        postgresql_where=sa.text("state IN ('requested', 'approved')"),
    ),
)

letters = sa.Table(
    "letters",
    metadata,
    sa.Column("letter_id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("command_id", sa.Uuid, nullable=False, unique=True),
    sa.Column("org_id", sa.BigInteger, nullable=False),
    sa.Column("year", sa.SmallInteger, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column(
        "code_index",
        sa.LargeBinary,
        nullable=False,
        unique=True,
        comment="keyed hash of what stands on the paper",
    ),
    sa.Column("member_ids", sa.ARRAY(sa.BigInteger), nullable=False),
    sa.Column("addressee", sa.Text, nullable=False),
    sa.Column("issued_at", _time, nullable=False),
    sa.Column("issued_by", sa.BigInteger, nullable=False),
    sa.Column("valid_until", sa.Date, comment="null: no limit"),
    sa.Column("voided_at", _time),
    sa.Column("to_org", sa.Text, nullable=False, server_default=""),
    sa.Column("dues_until", sa.Date, comment="null: of before this was kept"),
    sa.Column("void_reason", sa.Text, nullable=False, server_default=""),
    sa.UniqueConstraint("org_id", "year", "number"),
    sa.Index("ix_letters_org_id", "org_id", "letter_id"),
)

handovers = sa.Table(
    "handovers",
    metadata,
    sa.Column("transfer_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("person_id", sa.BigInteger, nullable=False),
    sa.Column("peer", sa.Text, nullable=False),
    sa.Column("opened_at", _time, nullable=False),
    comment="records sealed for another system; while the transfer holds the member it is frozen",
)

arrivals = sa.Table(
    "arrivals",
    metadata,
    sa.Column("subject", sa.Text, primary_key=True, comment="the transfer, as messages of a bridge name it"),
    sa.Column("peer", sa.Text, nullable=False),
    sa.Column("person_id", sa.BigInteger, comment="null: of who cannot come"),
    sa.Column("branch_id", sa.BigInteger, nullable=False, comment="in our mirror of the other system"),
    sa.Column("code", sa.Text, nullable=False, server_default="", comment="why who cannot come cannot"),
    sa.Column(
        "unbound",
        sa.Boolean,
        nullable=False,
        server_default="false",
        comment="the person was here before, in no branch, and is so again where nothing comes of it",
    ),
    sa.Column("transfer_id", sa.BigInteger, comment="null: not begun yet"),
    sa.Column("offered_at", _time, nullable=False),
    sa.Column("ended_at", _time, comment="null: open"),
    sa.Column("completed", sa.Boolean, nullable=False, server_default="false"),
    sa.Column(
        "settled", sa.Boolean, nullable=False, server_default="false", comment="nobody to erase is left"
    ),
    sa.Column("remark_sealed", sa.LargeBinary, comment="of who may come, for who decides; null once ended"),
    sa.Index(
        "uq_arrivals_open",
        "person_id",
        unique=True,
        postgresql_where=sa.text("person_id IS NOT NULL AND ended_at IS NULL"),
    ),
    sa.Index("ix_arrivals_person_id", "person_id"),
    sa.Index("ix_arrivals_transfer_id", "transfer_id", postgresql_where=sa.text("ended_at IS NULL")),
    sa.Index(
        "ix_arrivals_ended_at",
        "ended_at",
        postgresql_where=sa.text("person_id IS NOT NULL AND NOT completed AND NOT settled"),
    ),
)

stays_elsewhere = sa.Table(
    "stays_elsewhere",
    metadata,
    sa.Column("person_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("number", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("branch", sa.Text, nullable=False, comment="its full name in its own system"),
    sa.Column("since", sa.Date, nullable=False),
    sa.Column("until", sa.Date),
    comment="stays in branches of other systems, as a record told of them",
)

figures_2017 = sa.Table(
    "figures_2017",
    metadata,
    sa.Column("org_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("members", sa.Integer, nullable=False),
    comment="imported constants (STAT-03)",
)

handled_commands = sa.Table(
    "handled_commands",
    metadata,
    sa.Column("command_id", sa.Uuid, primary_key=True),
    sa.Column("reply", sa.Text, nullable=False),
    sa.Column("person_id", sa.BigInteger, comment="whose command it was; null: of before this was kept"),
)

audit.tables(metadata)
lives.table(metadata)
lives.version_floor(metadata)
outbox.table(metadata)
inbox.tables(metadata)
directory.tables(metadata)
sessions_ended.tables(metadata)
