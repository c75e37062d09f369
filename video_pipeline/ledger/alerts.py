"""What is alerted: one row a cause, which is also the outbox that senders deliver from (O1).

An alert is a row before it is a message. A sender claims rows for a bounded time, so that those of a sender that was
killed come back; the database's clock decides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Engine, Interval, and_, bindparam, case, cast, func, or_, select
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH, insert

from video_pipeline.ledger.connecting import tried_again
from video_pipeline.ledger.locks import lock
from video_pipeline.ledger.schema import alerts

_MINUTE = timedelta(minutes=1)
# Any channel that was reached, and "not configured", where there was none to reach.
_REACHED = '$[*] ? (@.outcome != "failed")'
_AT_MOST_IN_A_SUMMARY = 10_000


@dataclass(frozen=True)
class Delivery:
    """What became of an alert on one channel; `detail` is a sentence that holds no secret.

    One that is waiting is tried again, and not before `wait_s` seconds have passed.
    """

    channel: str
    outcome: Literal["sent", "waiting", "failed", "not configured"]
    detail: str
    wait_s: float = 0.0

    @property
    def sent(self) -> bool:
        """Whether people were told on this channel."""
        return self.outcome == "sent"

    @property
    def final(self) -> bool:
        """Whether the channel is done with."""
        return self.outcome != "waiting"

    def as_document(self) -> dict[str, str]:
        """What the ledger keeps."""
        return {"channel": self.channel, "outcome": self.outcome, "detail": self.detail}


@dataclass(frozen=True)
class DueAlert:
    """An alert that is to be told now.

    `told_count` of its `count` occurrences were told before. It has been tried `tries` times, this one included, and
    has waited for `waited_s` seconds; `deliveries` are what the tries before came to, one a channel.
    """

    cause: str
    severity: str
    title: str
    text: str
    fields: dict[str, str]
    at: datetime
    count: int
    told_count: int
    tries: int
    waited_s: float
    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True)
class Claim:
    """Alerts that are one sender's until `until`; with more than one, they are to be told in one message."""

    alerts: tuple[DueAlert, ...]
    until: datetime


@dataclass(frozen=True)
class Outcome:
    """What a try came to; `again_in_s` is when to try again, or None when the telling has ended."""

    alert: DueAlert
    deliveries: tuple[Delivery, ...]
    again_in_s: float | None


class AlertRows:
    """The causes, and the outbox over them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @tried_again
    def add(
        self,
        cause: str,
        *,
        severity: str,
        title: str,
        text: str,
        fields: Mapping[str, str],
        again_after_s: float,
        failed_again_after_s: float,
    ) -> bool:
        """Count an alert under its cause; True when it is to be told.

        It is told when its cause is new; when it was told last `again_after_s` seconds ago or earlier; and when no
        channel was reached, `failed_again_after_s` after that.
        """
        words = {"severity": severity, "title": title, "text": text, "fields": dict(fields)}
        reached = alerts.c.deliveries.path_exists(cast(_REACHED, JSONPATH))
        pause = case((reached, timedelta(seconds=again_after_s)), else_=timedelta(seconds=failed_again_after_s))
        due = and_(
            alerts.c.next_try_at.is_(None), or_(alerts.c.told_at.is_(None), alerts.c.told_at + pause <= func.now())
        )
        new = insert(alerts).values(cause=cause, deliveries=[], due_since=func.now(), next_try_at=func.now(), **words)
        again: dict[str, Any] = {
            "deliveries": case((due, new.excluded.deliveries), else_=alerts.c.deliveries),
            "due_since": case((due, func.now()), else_=alerts.c.due_since),
            "next_try_at": case((due, func.now()), else_=alerts.c.next_try_at),
            "tries": case((due, 0), else_=alerts.c.tries),
        }
        statement = new.on_conflict_do_update(
            index_elements=["cause"],
            set_=words | again | {"count": alerts.c.count + 1, "last_at": func.clock_timestamp()},
        ).returning(alerts.c.due_since == func.now())
        with self._engine.begin() as connection:
            return bool(connection.execute(statement).scalar())

    @tried_again
    def close(self, cause: str, deliveries: Sequence[Delivery]) -> None:
        """End the telling of a cause that nobody can be told of."""
        values = {
            "deliveries": [delivery.as_document() for delivery in deliveries],
            "next_try_at": None,
            "told_at": func.now(),
            "told_count": alerts.c.count,
        }
        with self._engine.begin() as connection:
            connection.execute(alerts.update().where(alerts.c.cause == cause).values(values))

    @tried_again
    def claim(self, *, hold_s: float, messages_a_minute: int) -> Claim | None:
        """Take what is to be told next, for `hold_s` seconds; None when nothing is due, or the minute is full.

        It is one alert, critical ones first, until only one message is left in the minute: that one takes all alerts
        that are due. Every sender of this ledger counts.
        """
        now = func.clock_timestamp()
        free = or_(alerts.c.claimed_until.is_(None), alerts.c.claimed_until <= now)
        due = and_(alerts.c.next_try_at <= now, free)
        # What was posted as one message has one time.
        posted = select(func.count(alerts.c.posted_at.distinct())).where(alerts.c.posted_at > now - _MINUTE)
        under_way = select(func.count(alerts.c.claimed_until.distinct())).where(alerts.c.claimed_until > now)
        with self._engine.begin() as connection:
            if not connection.execute(select(func.count()).where(due)).scalar_one():
                return None
            lock(connection, "alerts")
            used = connection.execute(posted).scalar_one() + connection.execute(under_way).scalar_one()
            left = messages_a_minute - used
            if left <= 0:
                return None
            first = (alerts.c.severity == "critical").desc(), alerts.c.due_since, alerts.c.cause
            chosen = select(alerts, (now - alerts.c.due_since).label("waited")).where(due).order_by(*first)
            chosen = chosen.limit(1 if left > 1 else _AT_MOST_IN_A_SUMMARY).with_for_update(skip_locked=True)
            rows = connection.execute(chosen).all()
            if not rows:
                return None
            until = connection.execute(select(now + timedelta(seconds=hold_s))).scalar_one()
            taken = alerts.update().where(alerts.c.cause.in_([row.cause for row in rows]))
            connection.execute(taken.values(claimed_until=until, tries=alerts.c.tries + 1))
        return Claim(tuple(_due_alert(row) for row in rows), until)

    @tried_again
    def settle(self, claim: Claim, outcomes: Sequence[Outcome], *, posted: bool) -> None:
        """Keep what became of claimed alerts; nothing where the claim has passed to another sender meanwhile.

        `posted` says that a message was sent, or tried, for them.
        """
        mine = alerts.update().where(alerts.c.cause == bindparam("the_cause"), alerts.c.claimed_until == claim.until)
        values: dict[str, Any] = {"deliveries": bindparam("kept", type_=JSONB), "claimed_until": None}
        if posted:
            values["posted_at"] = func.now()
        later = mine.values(values | {"next_try_at": func.clock_timestamp() + bindparam("wait", type_=Interval)})
        ended = mine.values(values | {"next_try_at": None, "told_at": func.now(), "told_count": bindparam("counted")})
        waiting = [
            _named(outcome) | {"wait": timedelta(seconds=outcome.again_in_s)}
            for outcome in outcomes
            if outcome.again_in_s is not None
        ]
        done = [
            _named(outcome) | {"counted": outcome.alert.count} for outcome in outcomes if outcome.again_in_s is None
        ]
        with self._engine.begin() as connection:
            if waiting:
                connection.execute(later, waiting)
            if done:
                connection.execute(ended, done)

    def waiting(self) -> tuple[int, float | None]:
        """How many alerts are to be told, and in how many seconds the first of them is due; None without any."""
        when: ColumnElement[datetime] = func.greatest(alerts.c.next_try_at, alerts.c.claimed_until)
        statement = select(func.count(), func.min(when) - func.clock_timestamp())
        with self._engine.connect() as connection:
            count, wait = connection.execute(statement.where(alerts.c.next_try_at.is_not(None))).one()
        return count, max(0.0, wait.total_seconds()) if wait is not None else None

    def latest(self, limit: int = 50) -> list[dict[str, Any]]:
        """The alerts that occurred last, newest first."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(alerts).order_by(alerts.c.last_at.desc()).limit(limit))
            return [dict(row) for row in rows.mappings()]


def _named(outcome: Outcome) -> dict[str, Any]:
    return {"the_cause": outcome.alert.cause, "kept": [one.as_document() for one in outcome.deliveries]}


def _due_alert(row: Any) -> DueAlert:
    return DueAlert(
        cause=row.cause,
        severity=row.severity,
        title=row.title,
        text=row.text,
        fields=row.fields,
        at=row.last_at,
        count=row.count,
        told_count=row.told_count,
        tries=row.tries + 1,
        waited_s=row.waited.total_seconds(),
        deliveries=tuple(Delivery(item["channel"], item["outcome"], item["detail"]) for item in row.deliveries),
    )
