"""Faults on request: which there are, and the list of those ordered, kept on disk and counted down.

The names are the same for every vendor. The farm takes the faults of jobs, the channel those of a publication, and
the deliveries those of webhooks. Each wire takes the rest, and answers in its vendor's shape. A fault counts down
once each time it takes effect, in the same transaction as the effect itself. So `times=1` hits exactly one request,
whatever is concurrent or killed.
"""

import asyncio
import sqlite3
from dataclasses import asdict, dataclass
from typing import Any

SUBMIT_FAULTS = {
    "submit_429": "the submit is refused with 429 and Retry-After `value` (1)",
    "submit_503": "the submit is refused with 503, nothing is booked",
    "submit_500": "the submit is refused with 500, nothing is booked",
    "submit_delay": "the submit is answered after `value` (1) seconds",
    "drop_before_accept": "the connection is cut and nothing is booked",
    "drop_after_accept": "the request is booked, then the connection is cut without an answer",
}
JOB_FAULTS = {
    "refuse_input": "the prompt is refused by moderation, billed 0",
    "refuse_output": "the clip is refused by moderation after rendering, billed",
    "job_failed": "the job ends in an error of the model, billed 0",
    "stuck": "the job never completes",
    "listing_lag": "the request is missing from the listing for `value` (5) seconds",
    "truncated_mp4": "the whole response carries half an mp4",
    "corrupt_file": "the file is an mp4 only in its first bytes",
    "wrong_size": "the picture is half as wide and high as asked",
    "wrong_length": "the clip lasts `value` (0.5) times what was asked",
    "no_audio": "the audio asked for is missing",
    "unasked_audio": "the clip has audio that was not asked for",
    "black": "the picture is black",
    "unsafe": "the picture is magenta, which stands for what must not go public; value: how much, 0..1 (1)",
    "frozen": "every frame is the first one",
    "garbled": "the picture is noise",
    "tiny_file": "the clip is compressed far below what can be looked at",
    "billed_otherwise": "the request costs `value` (1.6) times its list price",
    "billed_refusal": "a refused prompt is billed all the same",
    "billed_back": "the whole bill of the request is taken back in a line of its own",
    "billed_in_parts": "the request's bill is in `value` (3) lines",
    "billed_late": "the billing shows the request `value` (60) seconds after its end",
}
READ_FAULTS = {
    "status_500": "a status read fails with 500",
    "unknown_status": "a status read gives a status word that nobody knows",
    "retry_allowed": "a result without a file says that the same may be asked for again",
    "result_503": "a result read fails with 503",
    "listing_503": "the listing of requests fails with 503",
    "billing_503": "a read of the billing fails with 503",
    "slow_body": "a media download is spread over `value` (3) seconds",
    "truncated_file": "a media download announces the whole length and is cut at half",
    "expired_url": "the media URL has expired, 404 from now on",
    "restarted": "a server that keeps its requests in memory is restarted at a status read, and knows none of them",
}
PLATFORM_FAULTS = {
    "upload_500": "a PUT of bytes fails with 500",
    "drop_during_upload": "the connection is cut after `value` (0.5) of the bytes, which are kept",
    "drop_after_publish": "the video is published, then the connection is cut without an answer",
    "upload_limit": "an upload cannot be started because the account has uploaded too much",
    "quota_exceeded": "an upload cannot be started because the account has called too often",
    "session_expired": "the upload session is gone from now on",
    "slow_processing": "a video is processed for `value` (5) seconds",
    "processing_error": "the processing of an uploaded video ends in an error of the platform's own",
    "not_ready": "the word to publish what was uploaded is answered as too early",
    "publish_limit": "what was uploaded cannot be published because the account has published too much",
    "error_in_200": "a call is answered with 200 and an error in its body",
    "token_401": "the access token is not accepted",
}
WEBHOOK_FAULTS = {
    "webhook_lost": "a request's webhook is never called",
    "webhook_late": "a request's webhook is called `value` (5) seconds after its end",
    "webhook_twice": "a webhook that was answered is called again",
    "webhook_forged": "a webhook call is signed for another body",
}
KNOWN_FAULTS = SUBMIT_FAULTS | JOB_FAULTS | READ_FAULTS | PLATFORM_FAULTS | WEBHOOK_FAULTS


@dataclass(frozen=True)
class Fault:
    """One order for a fault. `match` is looked for, without regard to case, in what the fault would hit."""

    fault: str
    match: str
    times: int
    value: float | None

    def value_or(self, default: float) -> float:
        return default if self.value is None else self.value


class Faults:
    """The orders in force, oldest first."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        database.execute(
            "CREATE TABLE IF NOT EXISTS faults"
            " (id INTEGER PRIMARY KEY, fault TEXT NOT NULL, match TEXT NOT NULL, times INTEGER NOT NULL, value REAL)"
        )

    def order(self, body: Any) -> Fault:
        """Adds an order from a request body; raises ValueError with a sentence when it is not valid."""
        if not isinstance(body, dict) or body.get("fault") not in KNOWN_FAULTS:
            raise ValueError(f"'fault' must be one of: {', '.join(KNOWN_FAULTS)}.")
        unknown = set(body) - {"fault", "match", "times", "value"}
        if unknown:
            raise ValueError(f"Unknown field {', '.join(sorted(unknown))}; known are fault, match, times and value.")
        value = body.get("value")
        fault = Fault(
            body["fault"],
            str(body.get("match") or ""),
            int(body.get("times", 1)),
            None if value is None else float(value),
        )
        if fault.times < 1:
            raise ValueError("'times' must be 1 or more.")
        self._database.execute(
            "INSERT INTO faults (fault, match, times, value) VALUES (:fault, :match, :times, :value)", asdict(fault)
        )
        return fault

    def take(self, name: str, *subjects: str) -> Fault | None:
        """The oldest order of this fault that matches any of the subjects, counted down by one; None without."""
        rows = self._database.execute(
            "SELECT id, match, times, value FROM faults WHERE fault = ? ORDER BY id", (name,)
        )
        for row in rows.fetchall():
            if not row["match"] or any(row["match"].lower() in subject.lower() for subject in subjects):
                if row["times"] == 1:
                    self._database.execute("DELETE FROM faults WHERE id = ?", (row["id"],))
                else:
                    self._database.execute("UPDATE faults SET times = times - 1 WHERE id = ?", (row["id"],))
                return Fault(name, row["match"], row["times"], row["value"])
        return None

    async def at_submit(self, *subjects: str) -> tuple[int, float] | None:
        """What stands in a submit's way: an HTTP status (429, 503 or 500), and after how many seconds to come again.

        None when nothing does, after the delay that was ordered.
        """
        delay = self.take("submit_delay", *subjects)
        if delay:
            await asyncio.sleep(delay.value_or(1.0))
        for status in (429, 503, 500):
            fault = self.take(f"submit_{status}", *subjects)
            if fault:
                return status, fault.value_or(1.0)
        return None

    def in_force(self) -> list[Fault]:
        rows = self._database.execute("SELECT fault, match, times, value FROM faults ORDER BY id")
        return [Fault(**dict(row)) for row in rows]

    def clear(self) -> None:
        self._database.execute("DELETE FROM faults")
