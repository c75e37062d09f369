"""A whole pipeline in this process: its own ledger, folders and sandbox, on a Dagster instance that tests can ask."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pydantic import BaseModel

from video_pipeline import sandbox
from video_pipeline.definitions import build_defs
from video_pipeline.defs.resources import resources_of
from video_pipeline.services import Services
from video_pipeline.settings import Mode, Settings
from video_pipeline.storage import read_rows, table_key
from video_pipeline_tests.conftest import NewDatabase
from video_pipeline_tests.integration.small_day import write_policy
from video_pipeline_tests.routing.catalogues import ONE_VENDOR


class House:
    """One pipeline, whose policy can be another at every run."""

    def __init__(self, folder: Path, ledger_url: str, **settings: Any) -> None:
        self.folder = folder
        self.inbox = folder / "inbox"
        self._settings = Settings(
            _env_file=None,  # pyright: ignore[reportCallIssue]  # pydantic-settings takes it beside the fields
            state_dir=folder / "state",
            inbox_dir=self.inbox,
            ledger_url=ledger_url,
            **{
                "mode": Mode.SANDBOX,
                "catalogue_file": ONE_VENDOR,
                "slack_webhook_url": None,
                "discord_webhook_url": None,
            }
            | settings,
        )
        self.instance = dg.DagsterInstance.ephemeral()
        self.services = self.under({})
        self._all = [self.services]

    def under(self, policy: dict[str, dict[str, Any]]) -> Services:
        """Services under the small policy with `policy` laid over it."""
        policy_file = write_policy(self.folder / f"policy-{abs(hash(str(policy)))}.yaml", policy)
        services = Services(self._settings.model_copy(update={"policy_file": policy_file}))
        # One pool of connections for all of them.
        if hasattr(self, "services"):
            services.__dict__["ledger"] = self.services.ledger
        return services

    def run(
        self,
        job: str,
        day: date | str,
        policy: dict[str, dict[str, Any]] | None = None,
        *,
        succeeds: bool = True,
        only: str | None = None,
    ) -> dg.ExecuteInProcessResult:
        """Run a job for `day` in this process; with `only`, that asset of it."""
        services = self.under(policy) if policy else self.services
        definitions = build_defs(policy=services.policy, resources=resources_of(services))
        result = definitions.resolve_job_def(job).execute_in_process(
            partition_key=str(day),
            asset_selection=[dg.AssetKey(only)] if only else None,
            instance=self.instance,
            raise_on_error=succeeds,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        assert result.success is succeeds
        return result

    def rows(self, asset: str, day: date | str, row_type: type[BaseModel]) -> Sequence[Any]:
        """The asset's table of `day`."""
        return read_rows(row_type, self.services.store.read_bytes(table_key(asset, str(day))))

    def close(self) -> None:
        self.services.ledger.close()
        self.instance.dispose()
        sandbox.stop(self.folder / "state" / "sandbox")


NewHouse = Callable[..., House]


@pytest.fixture(scope="module")
def new_house(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewHouse]:
    """Builds pipelines that share nothing; their sandboxes stop when the module is done."""
    built: list[House] = []

    def build(**settings: Any) -> House:
        built.append(House(tmp_path_factory.mktemp("house"), new_database(), **settings))
        return built[-1]

    yield build
    for house in built:
        house.close()
