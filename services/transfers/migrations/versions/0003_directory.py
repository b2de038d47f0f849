"""Industries of organisations; rights by person."""
import sqlalchemy as sa
from alembic import op

revision = '0003_directory'
down_revision = '0002_open_transfers'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('org_directory', sa.Column('industry', sa.Text(), server_default='', nullable=False))
    op.create_index('ix_administrator_directory_person_id', 'administrator_directory', ['person_id'])


def downgrade() -> None:
    op.drop_index('ix_administrator_directory_person_id', table_name='administrator_directory')
    op.drop_column('org_directory', 'industry')
