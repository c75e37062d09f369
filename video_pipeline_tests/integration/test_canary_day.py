"""A whole day whose vendors and webhooks say our secrets back to us: they are nowhere that anybody keeps or reads."""

import io
import json
import logging
import sqlite3
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sqlalchemy import delete

from video_pipeline import days
from video_pipeline.generation import PROVIDERS
from video_pipeline.ledger.schema import breakers
from video_pipeline.publishing import PLATFORMS
from video_pipeline.publishing import attempt as attempts
from video_pipeline.publishing.platforms import youtube as adapter
from video_pipeline.wire import Secrets
from video_pipeline_tests.contract.edge import Edge, plain_client
from video_pipeline_tests.integration.conftest import House, NewHouse
from video_pipeline_tests.integration.small_day import a_brief, drop
from video_pipeline_tests.wire import answers as wild
from video_pipeline_tests.wire.canaries import canaries_in, canaries_under, held_in
from video_pipeline_tests.wire.conftest import CANARIES, CLIENT_SECRET, FAL_KEY, REFRESH_TOKEN
from video_pipeline_tests.wire.proxy import Answering, Asked, Call, Pieces, Proxy, Rule, proxy_before

SLACK, DISCORD = "canary-slack-93ab07c2", "canary-discord-5be1d804"
_ALL = (*CANARIES, SLACK, DISCORD)
# A clip is made all the same, others are refused in the vendor's own words, each written in another way.
_MADE, _INVALID, _AUTH, _UNSAFE, _FAILED, _UNPUBLISHED = "made", "invalid", "auth", "unsafe", "failed", "unpublished"
Writing = Callable[[str], str]


def _folded(secret: str) -> str:
    return f"{secret[:20]}\r\n    {secret[20:]}"


def _in_base64(secret: str) -> str:
    return f"Basic {b64encode(f'{secret}:x'.encode()).decode()}"


def _numbered(secret: str) -> str:
    return "".join(f"\\u{ord(letter):04x}" for letter in secret)


def _in_fals_words(code: int, kind: str, writing: Writing = str, place: str = "prompt") -> Answering:
    """An error as a model of fal's gives it, with the request's key in its words."""

    def answer(asked: Asked) -> Pieces:
        said = writing(asked.headers["authorization"])
        detail = [{"type": kind, "loc": ["body", place], "msg": f"we had {said} from you", "input": said}]
        return wild.status(code, json.dumps({"detail": detail}).encode(), "X-Fal-Retryable: false")(asked)

    return answer


def _flat(code: int, writing: Writing) -> Answering:
    """An error of fal's gateway, with the request's key in its words."""
    return lambda asked: wild.status(
        code, json.dumps({"detail": f"no such key: {writing(asked.headers['authorization'])}"}).encode()
    )(asked)


def _in_googles_words(asked: Asked) -> Pieces:
    said = quote(asked.headers["authorization"])
    error = {"code": 403, "message": f"not for {said}", "errors": [{"reason": "forbidden", "message": said}]}
    return wild.status(403, json.dumps({"error": error}).encode())(asked)


def _as_its_id(asked: Asked) -> Pieces:
    return wild.put("request_id", asked.headers["authorization"].split(":")[-1])(asked)


@dataclass
class Office:
    """The house behind the proxy, and what its webhooks were sent."""

    house: House
    proxy: Proxy
    instance_folder: Path
    messages: list[bytes] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def told(self, answer: Answering) -> Answering:
        def keep(asked: Asked) -> Pieces:
            self.messages.append(asked.body)
            return answer(asked)

        return keep

    def rules(self, day: date) -> list[Rule]:
        """Every question of the clips of `day` is answered with the secrets that it was asked with."""
        about = {name: a_brief(f"{name}-{day}")["prompt"] for name in (_MADE, _INVALID, _AUTH, _UNSAFE, _FAILED)}
        made, published = about[_MADE], f"{_MADE}-{day}".replace("-", " ").capitalize()
        unpublished = f"{_UNPUBLISHED}-{day}".replace("-", " ").capitalize()
        return [
            Rule(Call.SUBMIT, _as_its_id, passed_on=True, subject=made),
            Rule(Call.HISTORY, wild.echo(500)),
            *(Rule(call, wild.echo(200), subject=made) for call in (Call.STATUS, Call.RESULT, Call.DOWNLOAD)),
            *(Rule(call, wild.echo(500), subject=made) for call in (Call.STATUS, Call.RESULT, Call.DOWNLOAD)),
            Rule(Call.SUBMIT, _in_fals_words(422, "value_error", _in_base64), None, subject=about[_INVALID]),
            Rule(Call.SUBMIT, _flat(401, _folded), None, subject=about[_AUTH]),
            Rule(Call.RESULT, _in_fals_words(422, "content_policy_violation"), None, subject=about[_UNSAFE]),
            Rule(Call.RESULT, _in_fals_words(500, "internal_server_error", _numbered), None, subject=about[_FAILED]),
            Rule(Call.TOKEN, wild.echo(400)),
            Rule(Call.OPEN, wild.echo(500), subject=published),
            Rule(Call.SEND, wild.echo(200), passed_on=True, subject=published),
            Rule(Call.ASK, wild.echo(400), subject=published),
            Rule(Call.OPEN, _in_googles_words, None, subject=unpublished),
            Rule(Call.BILLING, wild.echo(500)),
            Rule(Call.PRICES, wild.echo(400)),
            Rule(Call.METRICS, wild.echo(500)),
            Rule(Call.ANALYTICS, wild.echo(500)),
            Rule(Call.OTHER, self.told(wild.echo(500)), 3),
            Rule(Call.OTHER, self.told(wild.echo(400)), 3),
            Rule(Call.OTHER, self.told(wild.status(200, b"ok")), None),
        ]

    def brief(self, day: date, *names: str) -> None:
        drop(self.house.inbox, day, *(a_brief(f"{name}-{day}") for name in names))

    def finds(self, printed: str) -> dict[str, list[str]]:
        """Where a canary is, by kind of place."""
        state = self.house.folder / "state"
        return {
            "ledger": canaries_in(self.house.services.ledger, *_ALL),
            "messages": held_in(b"\n\x01\n".join(self.messages), _ALL),
            "log": held_in("\n\x01\n".join(self.lines), _ALL),
            "printed": held_in(printed, _ALL),
            "Dagster's tables": _in_sqlite(self.instance_folder),
            "Dagster's files": canaries_under(self.instance_folder, *_ALL, but=_is_sqlite),
            "tables": _in_parquet(state),
            "pictures": _in_pictures(state),
            "files": canaries_under(state, *_ALL, but=lambda path: "sandbox" in path.parts or "ledger" in path.parts),
        }


def _is_sqlite(path: Path) -> bool:
    return path.name.endswith((".db", ".db-wal", ".db-shm", ".db-journal"))


def _in_sqlite(folder: Path) -> list[str]:
    """Every column of every table of Dagster's: events, runs with their tags and configuration, ticks."""
    found: list[str] = []
    databases = sorted(folder.rglob("*.db"))
    assert len(databases) >= 2, "Dagster's storage was not looked at"
    for path in databases:
        with closing(sqlite3.connect(path)) as connection:
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for table in tables:
                rows = {str(value) for row in connection.execute(f'SELECT * FROM "{table}"') for value in row}
                found += [
                    f"{path.stem[:8]}.{table} holds {canary}" for canary in held_in("\n\x01\n".join(rows), _ALL)
                ]
    return found


def _in_parquet(folder: Path) -> list[str]:
    paths = sorted((folder / "store" / "tables").rglob("*.parquet"))
    assert len(paths) >= 7, "the tables were not looked at"
    return [
        f"{path.parent.name} holds {canary}"
        for path in paths
        for canary in held_in(json.dumps(pq.read_table(path).to_pylist(), default=str), _ALL)
    ]


def _in_pictures(folder: Path) -> list[str]:
    """What stands beside the picture in a file of one."""
    paths = [path for kind in ("jpg", "png") for path in (folder / "store").rglob(f"[!.]*.{kind}")]
    paths = [path for path in paths if ".checksums" not in path.parts]
    assert paths, "no picture was looked at"
    said: list[str] = []
    for path in paths:
        with Image.open(io.BytesIO(path.read_bytes())) as picture:
            said.append(f"{picture.info} {dict(picture.getexif())}")
    return held_in("\n\x01\n".join(said), _ALL)


@pytest.fixture
def office(new_house: NewHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    monkeypatch.setattr(adapter, "_RETRIES_S", (0.0, 0.0))
    monkeypatch.setattr(attempts, "_SEND_RETRIES_S", (0.0, 0.0))
    with proxy_before("") as proxy, plain_client() as client:
        house = new_house(
            slack_webhook_url=f"{proxy.base_url}/services/T0/B0/{SLACK}",
            discord_webhook_url=f"{proxy.base_url}/api/webhooks/1/{DISCORD}",
        )
        proxy.origin = house.services.sandbox.base_url
        edge = Edge(proxy.base_url, tmp_path, client)
        fal = replace(
            PROVIDERS["fal"], connect_sandbox=lambda _, client: edge.fal(client, key=FAL_KEY, admin_key=FAL_KEY)
        )
        youtube = replace(
            PLATFORMS["youtube_shorts"],
            connect_sandbox=lambda _: edge.youtube(client_secret=CLIENT_SECRET, refresh_token=REFRESH_TOKEN),
        )
        monkeypatch.setitem(PROVIDERS, "fal", fal)
        monkeypatch.setitem(PLATFORMS, "youtube_shorts", youtube)
        home = tmp_path / "dagster"
        home.mkdir()
        house.instance = dg.DagsterInstance.local_temp(str(home), overrides={"telemetry": {"enabled": False}})
        office = Office(house, proxy, home)
        kept, root = _Kept(office.lines), logging.getLogger()
        root.addHandler(kept)
        yield office
        root.removeHandler(kept)


class _Kept(logging.Handler):
    """Keeps each line, and says it where Dagster listens, as a process of its own does."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.DEBUG)
        self._lines = lines
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))
        print(self._lines[-1], file=sys.stderr, flush=True)


def test_a_day_that_hears_its_secrets_keeps_none_of_them(
    office: Office, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    day = days.today()
    office.brief(day, _MADE, _INVALID, _UNSAFE, _FAILED, _UNPUBLISHED)
    rules = office.rules(day)
    with office.proxy.under(*rules):
        office.house.run("production_day", day)
        # Without a token nothing was published; then the upload's answer is lost, and the next run asks for it.
        office.house.run("production_day", day, only="publish_records")
        # Last, for a provider that refuses our key is left alone.
        office.brief(day, _AUTH)
        office.house.run("production_day", day)
        office.house.run("nightly_scoring", day)
    unused = [str(rule.call) for rule in rules[:-1] if not rule.used]
    assert unused == [], "an answer was never given"
    assert len(office.messages) >= 2 and office.lines
    assert {place: finds for place, finds in office.finds("".join(capfd.readouterr())).items() if finds} == {}

    # The search would find them: here nothing is redacted.
    monkeypatch.setattr(Secrets, "redacted", lambda _, text: text)
    day = days.today() - timedelta(days=1)
    with office.house.services.ledger.engine.begin() as connection:
        connection.execute(delete(breakers))
    office.brief(day, _INVALID, _FAILED)
    with office.proxy.under(*office.rules(day)):
        office.house.run("production_day", day)
    finds = office.finds("".join(capfd.readouterr()))
    places = {"ledger", "messages", "log", "Dagster's tables", "Dagster's files", "tables"}
    assert places <= {place for place, found in finds.items() if found}, finds
