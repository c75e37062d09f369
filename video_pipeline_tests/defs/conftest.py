"""Services on a real ledger and a folder of the test's own, as sensors and assets get them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from video_pipeline.services import Services
from video_pipeline.settings import Mode, Settings
from video_pipeline_tests.routing.catalogues import ONE_VENDOR

ServicesWith = Callable[[dict], Services]


def parts(services: Services) -> dict[str, Any]:
    """What sensors and the first stage ask for, as Dagster hands it to them."""
    return {name: getattr(services, name) for name in ("inbox", "ledger", "store", "policy", "notifier")}


@pytest.fixture
def services_with(ledger_url: str, tmp_path: Path) -> Iterator[ServicesWith]:
    """Makes services under the packaged policy with the given sections laid over it; the ledger starts empty."""
    made: list[Services] = []

    def make(policy: dict) -> Services:
        policy_file = tmp_path / f"policy-{len(made)}.yaml"
        policy_file.write_text(yaml.safe_dump({"intake": {"settle_s": 0}} | policy))
        settings = Settings(
            _env_file=None,  # pyright: ignore[reportCallIssue]  # pydantic-settings takes it beside the fields
            mode=Mode.SANDBOX,
            state_dir=tmp_path / "state",
            inbox_dir=tmp_path / "inbox",
            ledger_url=ledger_url,
            policy_file=policy_file,
            catalogue_file=ONE_VENDOR,
            slack_webhook_url=None,
            discord_webhook_url=None,
        )
        made.append(Services(settings))
        return made[-1]

    yield make
    for services in made:
        services.ledger.close()


@pytest.fixture
def services(services_with: ServicesWith) -> Services:
    """Services under the packaged policy."""
    return services_with({})


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """A Dagster instance that lives as long as the test."""
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral
