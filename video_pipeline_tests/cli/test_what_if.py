"""`what-if` on a real ledger and real tables: what it prints, what it says of wrong questions; it writes nothing."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select
from typer.testing import CliRunner

from video_pipeline.cli.app import app
from video_pipeline.days import today
from video_pipeline.errors import ConfigurationError
from video_pipeline.feedback import ClipFact, RecordedDay
from video_pipeline.ledger import Actor, FailureKind, JobState, Ledger, StandingStatus
from video_pipeline.ledger.schema import metadata
from video_pipeline.policy import Policy
from video_pipeline.routing import Catalogue, ClipPlan
from video_pipeline.services import get_services
from video_pipeline.storage import LocalStore, table_key, write_rows
from video_pipeline_tests.feedback.histories import PROMPTS, a_day, a_plan, attempts_at
from video_pipeline_tests.feedback.rows import DAY

FIRST, LAST = DAY - timedelta(days=1), DAY
PARQUET = "application/vnd.apache.parquet"


@pytest.fixture(scope="module")
def house(
    ledger_of_module: Ledger, sandbox_catalogue: Catalogue, policy: Policy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ledger]:
    """Two days of a house whose commands this process runs: four clips each, the second day after a demotion."""
    store = LocalStore(tmp_path_factory.mktemp("store"))
    for day in (FIRST, LAST):
        plans = [a_plan(name, sandbox_catalogue, policy, day=day) for name in ("a", "b", "c")]
        plans.append(a_plan("d", sandbox_catalogue, policy, day=day, prompt=PROMPTS["action"]))
        jobs = [job for plan in plans for job in attempts_at(plan, FailureKind.MODERATION, JobState.ACCEPTED)]
        for job in jobs:
            ledger_of_module.jobs.plan(job)
        _keep(store, a_day(plans, jobs, day=day))
    ledger_of_module.governance.set_standing(
        "sandbox/sprint",
        StandingStatus.DEMOTED,
        model_version="1",
        tier="preview",
        by=Actor.SCORE,
        day=FIRST,
        evidence={},
    )
    services = vars(get_services())
    own = {"ledger": ledger_of_module, "store": store, "catalogue": sandbox_catalogue}
    before = {name: services[name] for name in own if name in services}
    services |= own
    yield ledger_of_module
    for name in own:
        services.pop(name)
    services |= before


def _keep(store: LocalStore, day: RecordedDay) -> None:
    for table, row, rows in (
        ("generation_plan", ClipPlan, day.plans),
        ("clip_facts", ClipFact, [*day.facts.values()]),
    ):
        store.put_bytes(table_key(table, str(day.day)), write_rows(row, rows), content_type=PARQUET)


def _asked(*more: str, days: str = f"{FIRST}..{LAST}") -> str:
    result = CliRunner().invoke(app, ["what-if", "--days", days, *more])
    assert result.exit_code == 0, result.output
    return result.output


def _rows_of(ledger: Ledger) -> dict[str, int]:
    with ledger.engine.connect() as connection:
        return {
            name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for name, table in metadata.tables.items()
        }


def test_days_are_replayed_as_they_were_steered_and_nothing_is_written(house: Ledger, tmp_path: Path):
    before, policy = _rows_of(house), tmp_path / "policy.yaml"
    policy.write_text("routing: {complex_complexity: 0.9}")
    answer = json.loads(_asked("--json", "--policy", str(policy)))
    assert _rows_of(house) == before
    # The demotion of the first night steers the second day, where nobody can say what dash would have made.
    assert (answer["days"], answer["then"]["clips"], answer["instead"]["as_recorded"]) == (2, 8, 4)
    assert [(one["model"], one["kind"], one["shots"]) for one in answer["untold"]] == [
        ("sandbox/dash", "default", 3),
        ("sandbox/dash", "action", 1),
    ]
    assert answer["then_told"] == pytest.approx({"clips": 4, "usd": 0.176, "delivered": 4, "refused": 4})


def test_the_answer_is_a_table_and_sentences(house: Ledger, tmp_path: Path):
    prices, policy = tmp_path / "prices.yaml", tmp_path / "policy.yaml"
    prices.write_text("models: [{model: sandbox/sprint, price: {silent: {108p: '0.011'}}}]")
    policy.write_text("drift: {probes_a_day: 9}")
    said = " ".join(
        _asked("--prices", str(prices), "--policy", str(policy), days=f"{FIRST - timedelta(days=1)}..{FIRST}").split()
    )
    assert "100% of the clips can be told, 4 of 4; 4 of them would have gone where they went." in said
    assert "have cost $0.18 and would have cost $0.09; 4 of them were delivered and 4 would have been." in said
    assert f"Never planned, and so not replayed: {FIRST - timedelta(days=1)}." in said
    assert "so these keys change nothing here: drift.probes_a_day." in said


@pytest.mark.parametrize(
    ("days", "said"),
    [
        ("2026-11-21..2026-11-20", "ends before it begins"),
        ("yesterday", "yesterday is not a day"),
        ("2026-11-20..", " is not a day"),
        (f"2026-11-20..{today() + timedelta(days=2)}", "only past days"),
        ("2026-03-01..2026-03-09", "was ever planned"),
    ],
    ids=["backwards", "no day", "open end", "future", "never run"],
)
def test_wrong_days_are_told_in_a_sentence(house: Ledger, days: str, said: str):
    result = CliRunner().invoke(app, ["what-if", "--days", days])
    assert isinstance(result.exception, ConfigurationError)
    assert said in str(result.exception)


@pytest.mark.parametrize(
    ("option", "content", "said"),
    [
        ("--policy", "routing: {adequate: 1}", "routing.adequate: Extra inputs"),
        ("--prices", "models: [{model: nobody/one}]", "has the model nobody/one"),
    ],
    ids=["policy", "prices"],
)
def test_wrong_files_are_told_in_a_sentence(house: Ledger, tmp_path: Path, option: str, content: str, said: str):
    path = tmp_path / "changes.yaml"
    path.write_text(content)
    result = CliRunner().invoke(app, ["what-if", "--days", str(DAY), option, str(path)])
    assert isinstance(result.exception, ConfigurationError)
    assert str(path) in str(result.exception) and said in str(result.exception)
