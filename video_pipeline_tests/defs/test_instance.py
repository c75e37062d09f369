"""The instance files, local and production, against Dagster's own schema; what they must say to protect anything."""

import shutil
from pathlib import Path
from typing import Any, cast

import dagster as dg
import pytest
import yaml
from dagster._config import validate_config
from dagster._core.instance.config import dagster_instance_config

ROOT = Path(__file__).parents[2]
LOCAL, PRODUCTION = ROOT / "dagster.yaml", ROOT / "deploy" / "dagster.yaml"
both = pytest.mark.parametrize("path", [LOCAL, PRODUCTION], ids=["local", "production"])


@both
def test_dagster_accepts_the_file(path: Path, tmp_path: Path) -> None:
    shutil.copy(path, tmp_path / "dagster.yaml")
    config, _ = dagster_instance_config(str(tmp_path))
    assert set(config) >= set(_document(path))


def test_the_schema_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    """So that the test above says something."""
    (tmp_path / "dagster.yaml").write_text(LOCAL.read_text() + "\nconcurency: {}\n")
    with pytest.raises(Exception, match="concurency"):
        dagster_instance_config(str(tmp_path))


@both
def test_a_pool_without_a_limit_of_its_own_lets_one_step_in(path: Path) -> None:
    pools = _document(path)["concurrency"]["pools"]
    assert pools == {"default_limit": 1, "granularity": "op"}


@both
def test_a_killed_run_gives_its_slot_back(path: Path) -> None:
    monitoring = _document(path)["run_monitoring"]
    assert monitoring["enabled"] is True
    assert monitoring["free_slots_after_run_end_seconds"] > 0


@both
def test_nothing_is_retried_or_sent_home(path: Path) -> None:
    document = _document(path)
    assert document["run_retries"] == {"enabled": False}
    assert document["telemetry"] == {"enabled": False}
    assert document["nux"] == {"enabled": False}


def test_the_production_file_names_its_classes_and_holds_no_secret() -> None:
    from dagster_aws.s3.compute_log_manager import S3ComputeLogManager

    document = _document(PRODUCTION)
    logs, database = document["compute_logs"], document["storage"]["postgres"]["postgres_db"]
    assert (logs["module"], logs["class"]) == (S3ComputeLogManager.__module__, S3ComputeLogManager.__name__)
    schema = dg.Field(cast("Any", S3ComputeLogManager.config_type()))
    assert validate_config(schema.config_type, logs["config"]).success
    assert set(database) == {"username", "password", "hostname", "db_name", "port"}
    assert all("env" in value for name, value in database.items() if name != "port")


def _document(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text())
