"""A look belongs to the rule that it was decided by: another rule on the same answers is another look."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Looks from before have an empty rule, which stands for any."""
    with op.batch_alter_table("looks") as looks:
        looks.add_column(sa.Column("rule", sa.Text, nullable=False, server_default=""))
        looks.drop_constraint("looks_once", type_="unique")
        looks.create_unique_constraint("looks_once", ["task", "dataset", "release", "rule"])
