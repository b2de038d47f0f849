"""Posts, registrations, sessions that can be ended, access log, registers, letters."""

import sqlalchemy as sa
from alembic import op

revision = "0007_whole_rule_book"
down_revision = "0006_reset_codes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE SEQUENCE post_version")
    op.create_table(
        "access_log",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("org_id", sa.BigInteger(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False, comment="reveal, export"),
        sa.Column("subjects", sa.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_access_log")),
        comment="append-only; each hash covers the one before (BEY-10)",
    )
    op.create_table(
        "captchas",
        sa.Column("captcha_id", sa.Uuid(), nullable=False),
        sa.Column("answer_index", sa.LargeBinary(), nullable=False, comment="keyed hash"),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("captcha_id", name=op.f("pk_captchas")),
    )
    op.create_index(op.f("ix_captchas_expires_at"), "captchas", ["expires_at"], unique=False)
    op.create_table(
        "ended_sessions",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column(
            "until", sa.DateTime(timezone=True), nullable=False, comment="its last token has lapsed by then"
        ),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_ended_sessions")),
    )
    op.create_index(op.f("ix_ended_sessions_until"), "ended_sessions", ["until"], unique=False)
    op.create_table(
        "figures_2017",
        sa.Column("org_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("members", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("org_id", name=op.f("pk_figures_2017")),
        comment="imported constants (STAT-03)",
    )
    op.create_table(
        "deletion_requests",
        sa.Column("person_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.BigInteger(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_deletion_requests")),
    )
    op.create_table(
        "letters",
        sa.Column("letter_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("command_id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.BigInteger(), nullable=False),
        sa.Column("year", sa.SmallInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column(
            "code_index", sa.LargeBinary(), nullable=False, comment="keyed hash of what stands on the paper"
        ),
        sa.Column("member_ids", sa.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("addressee", sa.Text(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("issued_by", sa.BigInteger(), nullable=False),
        sa.Column("valid_until", sa.Date(), nullable=True, comment="null: no limit"),
        sa.Column("voided_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("letter_id", name=op.f("pk_letters")),
        sa.UniqueConstraint("code_index", name=op.f("uq_letters_code_index")),
        sa.UniqueConstraint("command_id", name=op.f("uq_letters_command_id")),
        sa.UniqueConstraint("org_id", "year", "number", name=op.f("uq_letters_org_id_year_number")),
    )
    op.create_table(
        "posts",
        sa.Column("org_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("person_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("post", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("changed_by", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("org_id", "person_id", "began_at", name=op.f("pk_posts")),
    )
    op.create_index(
        "ix_posts_person_id",
        "posts",
        ["person_id"],
        unique=False,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        "uq_posts_one_open",
        "posts",
        ["org_id", "person_id"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        "uq_posts_one_secretary",
        "posts",
        ["org_id"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL AND post = 'secretary'"),
    )
    op.create_table(
        "registration_codes",
        sa.Column("org_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("code_index", sa.LargeBinary(), nullable=False, comment="keyed hash"),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True, comment="null: never (ADM-13)"),
        sa.Column("issued_by", sa.BigInteger(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("spent_by", sa.BigInteger(), nullable=True),
        sa.Column("spent_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("org_id", name=op.f("pk_registration_codes")),
        sa.UniqueConstraint("code_index", name=op.f("uq_registration_codes_code_index")),
    )
    op.create_table(
        "registrations",
        sa.Column("registration_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("org_id", sa.BigInteger(), nullable=False),
        sa.Column("post", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("registration_id", name=op.f("pk_registrations")),
    )
    op.create_index(
        "ix_registrations_expires_at",
        "registrations",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(
        "ix_registrations_org_id",
        "registrations",
        ["org_id"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index("ix_registrations_person_id", "registrations", ["person_id"], unique=False)
    op.create_index(
        "uq_registrations_pending",
        "registrations",
        ["person_id"],
        unique=True,
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_table(
        "retentions",
        sa.Column("retention_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("command_id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("branch_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="abroad, retained"),
        sa.Column("since", sa.Date(), nullable=False),
        sa.Column("until", sa.Date(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("contact_name", sa.Text(), nullable=False),
        sa.Column("contact_phone_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False, comment="requested, approved, refused, ended"),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("reports", sa.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("requested_by", sa.BigInteger(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.BigInteger(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("retention_id", name=op.f("pk_retentions")),
        sa.UniqueConstraint("command_id", name=op.f("uq_retentions_command_id")),
    )
    op.create_index(op.f("ix_retentions_branch_id"), "retentions", ["branch_id"], unique=False)
    op.create_index(
        "uq_retentions_open",
        "retentions",
        ["member_id"],
        unique=True,
        postgresql_where=sa.text("state IN ('requested', 'approved')"),
    )
    op.create_table(
        "sign_ins",
        sa.Column("person_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("succeeded", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("person_id", "at", name=op.f("pk_sign_ins")),
    )
    op.create_index("ix_sign_ins_at", "sign_ins", ["at"], unique=False)
    op.add_column(
        "accounts",
        sa.Column(
            "initial_tail",
            sa.SmallInteger(),
            server_default="8",
            nullable=False,
            comment="characters of the initial password (ACC-04)",
        ),
    )
    op.add_column(
        "administrator_directory", sa.Column("observer", sa.Boolean(), server_default="false", nullable=False)
    )
    op.create_index(
        "ix_administrator_directory_person_id", "administrator_directory", ["person_id"], unique=False
    )
    op.add_column("org_directory", sa.Column("industry", sa.Text(), server_default="", nullable=False))
    op.add_column("people", sa.Column("born_on", sa.Date(), nullable=True, comment="from the ID number"))
    op.add_column(
        "people", sa.Column("contact_sealed", sa.LargeBinary(), nullable=True, comment="common contact")
    )
    op.add_column(
        "people", sa.Column("emergency_sealed", sa.LargeBinary(), nullable=True, comment="emergency contact")
    )
    op.add_column(
        "people",
        sa.Column(
            "party",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="a Party member who keeps membership",
        ),
    )
    op.add_column(
        "people",
        sa.Column(
            "to_contact",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="has arrived and was not contacted yet",
        ),
    )
    op.add_column(
        "people",
        sa.Column(
            "identity_checked_at",
            sa.DateTime(timezone=True),
            server_default="1970-01-01 00:00:00+00",
            nullable=False,
            comment="when it was tried last",
        ),
    )
    op.add_column(
        "people",
        sa.Column(
            "complete",
            sa.Boolean(),
            sa.Computed(
                "name <> '' AND ethnic_group <> '' AND phone_sealed IS NOT NULL"
                " AND (branch_id IS NULL OR (joined_on IS NOT NULL"
                " AND (joined_on < '2017-01-01'::date OR development_number <> '')))",
                persisted=True,
            ),
            nullable=True,
            comment="every required field is filled (MEM-22)",
        ),
    )
    op.create_index(
        "ix_people_identity_check",
        "people",
        ["identity_checked_at"],
        unique=False,
        postgresql_where=sa.text("identity_check <> 'passed'"),
    )
    op.create_index("ix_people_name", "people", ["name"], unique=False)
    # of several secretaries of a branch only one stays
    op.execute("""
        INSERT INTO posts (org_id, person_id, began_at, post)
        SELECT branch_id, person_id, now(), post
        FROM (
            SELECT branch_id, person_id,
                CASE post
                    WHEN '书记' THEN 'secretary'
                    WHEN '副书记' THEN 'deputy_secretary'
                    WHEN '组织委员' THEN 'organiser'
                    WHEN '宣传委员' THEN 'publicist'
                END AS post,
                row_number() OVER (PARTITION BY branch_id, post ORDER BY person_id) AS n
            FROM people
            WHERE branch_id IS NOT NULL AND post <> ''
        ) AS held
        WHERE held.post IS NOT NULL AND (held.post <> 'secretary' OR n = 1)""")
    op.drop_column("people", "post")
    op.add_column(
        "sessions",
        sa.Column(
            "session_id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="stands in its tokens",
        ),
    )
    op.add_column("sessions", sa.Column("address", sa.Text(), server_default="", nullable=False))
    op.add_column("sessions", sa.Column("device", sa.Text(), server_default="", nullable=False))
    op.create_unique_constraint(op.f("uq_sessions_session_id"), "sessions", ["session_id"])


def downgrade() -> None:
    op.drop_constraint(op.f("uq_sessions_session_id"), "sessions", type_="unique")
    op.drop_column("sessions", "device")
    op.drop_column("sessions", "address")
    op.drop_column("sessions", "session_id")
    op.add_column(
        "people",
        sa.Column("post", sa.TEXT(), server_default=sa.text("''::text"), autoincrement=False, nullable=False),
    )
    op.drop_index("ix_people_name", table_name="people")
    op.drop_index(
        "ix_people_identity_check",
        table_name="people",
        postgresql_where=sa.text("identity_check <> 'passed'"),
    )
    op.drop_column("people", "complete")
    op.drop_column("people", "identity_checked_at")
    op.drop_column("people", "to_contact")
    op.drop_column("people", "party")
    op.drop_column("people", "emergency_sealed")
    op.drop_column("people", "contact_sealed")
    op.drop_column("people", "born_on")
    op.drop_column("org_directory", "industry")
    op.drop_column("administrator_directory", "observer")
    op.drop_index("ix_administrator_directory_person_id", table_name="administrator_directory")
    op.drop_column("accounts", "initial_tail")
    op.drop_index("ix_sign_ins_at", table_name="sign_ins")
    op.drop_table("sign_ins")
    op.drop_index(
        "uq_retentions_open",
        table_name="retentions",
        postgresql_where=sa.text("state IN ('requested', 'approved')"),
    )
    op.drop_index(op.f("ix_retentions_branch_id"), table_name="retentions")
    op.drop_table("retentions")
    op.drop_index(
        "uq_registrations_pending", table_name="registrations", postgresql_where=sa.text("state = 'pending'")
    )
    op.drop_index("ix_registrations_person_id", table_name="registrations")
    op.drop_index(
        "ix_registrations_org_id", table_name="registrations", postgresql_where=sa.text("state = 'pending'")
    )
    op.drop_index(
        "ix_registrations_expires_at",
        table_name="registrations",
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.drop_table("registrations")
    op.drop_table("registration_codes")
    op.drop_index(
        "uq_posts_one_secretary",
        table_name="posts",
        postgresql_where=sa.text("ended_at IS NULL AND post = 'secretary'"),
    )
    op.drop_index("uq_posts_one_open", table_name="posts", postgresql_where=sa.text("ended_at IS NULL"))
    op.drop_index("ix_posts_person_id", table_name="posts", postgresql_where=sa.text("ended_at IS NULL"))
    op.drop_table("posts")
    op.drop_table("letters")
    op.drop_table("deletion_requests")
    op.drop_table("figures_2017")
    op.drop_index(op.f("ix_ended_sessions_until"), table_name="ended_sessions")
    op.drop_table("ended_sessions")
    op.drop_index(op.f("ix_captchas_expires_at"), table_name="captchas")
    op.drop_table("captchas")
    op.drop_table("access_log")
    op.execute("DROP SEQUENCE post_version")
