"""Jobs hold an order in words of no vendor, and a receipt that only the adapter reads.

Until now a job held the arguments and the three addresses of the one provider that there was. The order is read back
out of those arguments and of the routing decision that they were made from. Request hashes are computed anew, so that
the cache and known refusals go on serving.
"""

import hashlib
import json
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_BATCH = 500
_ORIENTATIONS = {
    "16:9": "landscape",
    "landscape_16_9": "landscape",
    "1:1": "square",
    "square_hd": "square",
}


def upgrade() -> None:
    op.add_column("jobs", sa.Column("render_order", JSONB))
    op.add_column("jobs", sa.Column("receipt", JSONB))
    _carry_over(op.get_bind())
    op.alter_column("jobs", "render_order", nullable=False)
    for column in ("endpoint", "requested_s", "status_url", "response_url", "cancel_url"):
        op.drop_column("jobs", column)


def downgrade() -> None:
    raise NotImplementedError("The ledger is not taken back to an earlier release; restore a backup instead.")


def _carry_over(connection: sa.Connection) -> None:
    # The tables as they stand between the two releases.
    jobs = sa.table(
        "jobs",
        *_columns("key", "kind", "provider", "model", "model_version", "endpoint"),
        *_columns("clip_id", "shot", "shot_sha256", "requested_s", "request_sha256"),
        *_columns("provider_job_id", "status_url", "response_url", "cancel_url"),
        *(sa.column(name, JSONB) for name in ("request", "render_order", "receipt")),
    )
    decisions = sa.table(
        "decisions",
        *_columns("clip_id", "shot", "shot_sha256"),
        sa.column("document", JSONB),
    )
    same_shot = sa.and_(*(jobs.c[name] == decisions.c[name] for name in ("clip_id", "shot", "shot_sha256")))
    rows = connection.execute(
        sa.select(jobs, decisions.c.document.label("decision")).outerjoin_from(jobs, decisions, same_shot)
    ).mappings()
    changed = [_changed(row) for row in rows]
    update = (
        sa.update(jobs)
        .where(jobs.c.key == sa.bindparam("job_key"))
        .values(
            {name: sa.bindparam(f"new_{name}") for name in ("render_order", "request", "receipt", "request_sha256")}
        )
    )
    for start in range(0, len(changed), _BATCH):
        connection.execute(update, changed[start : start + _BATCH])


def _columns(*names: str) -> list[sa.ColumnClause[Any]]:
    return [sa.column(name) for name in names]


def _changed(row: sa.RowMapping) -> dict[str, Any]:
    order = _order(row)
    # A seed that was drawn from the job's key names the purchase; only one that a brief gave decides the picture.
    drawn = int(row["key"][:8], 16) % 2**31
    decides = {name: value for name, value in order.items() if name != "seed" or value != drawn}
    identity = {"provider": row["provider"], "model": row["model"], "version": row["model_version"]}
    receipt = {name: row[name] for name in ("status_url", "response_url", "cancel_url") if row[name]}
    return {
        "job_key": row["key"],
        "new_render_order": order,
        "new_request": {"endpoint": row["endpoint"], "arguments": row["request"]},
        "new_receipt": receipt if row["provider_job_id"] else None,
        "new_request_sha256": _sha256(identity | {"kind": row["kind"], "order": decides}),
    }


def _order(row: sa.RowMapping) -> dict[str, Any]:
    """The order as JSON, without what is at its default."""
    sent: dict[str, Any] = row["request"]
    shape = str(sent.get("aspect_ratio") or sent.get("image_size"))
    order = {"prompt": sent["prompt"], "orientation": _ORIENTATIONS.get(shape, "portrait")}
    if sent.get("seed") is not None:
        order["seed"] = sent["seed"]
    if row["kind"] == "image":
        return order
    decision: dict[str, Any] = row["decision"] or {}
    # The decision in force may be of another model than an earlier attempt was bought from.
    of_this_model = decision.get("model") == row["model"]
    order["duration_s"] = row["requested_s"]
    resolution = decision.get("resolution") if of_this_model else sent.get("resolution")
    if resolution:
        order["resolution"] = resolution
    if decision.get("audio") if of_this_model else sent.get("generate_audio") or sent.get("audio"):
        order["audio"] = True
    start_image = sent.get("image_url") or sent.get("start_image_url")
    if start_image:
        order["start_image"] = start_image
    return order


def _sha256(document: dict[str, Any]) -> str:
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
