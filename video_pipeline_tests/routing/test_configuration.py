"""Policy and settings: what is laid over what, sentences for what is wrong, and secrets that never show."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from video_pipeline.errors import ConfigurationError
from video_pipeline.policy import Policy, load_policy
from video_pipeline.settings import Settings

_SECRETS = {
    "VIDEO_PIPELINE_LEDGER_URL": "postgresql://u:hunter2@h/d",
    "FAL_KEY": "hunter2-fal",
    "YOUTUBE_CLIENT_ID": "hunter2-id",
    "YOUTUBE_CLIENT_SECRET": "hunter2-secret",
    "YOUTUBE_REFRESH_TOKEN": "hunter2-token",
    "VIDEO_PIPELINE_SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/hunter2",
    "VIDEO_PIPELINE_DISCORD_WEBHOOK_URL": "https://discord.com/api/webhooks/hunter2",
}


def _override(folder: Path, document: Any) -> Path:
    path = folder / "policy.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def test_only_the_keys_of_an_override_change(policy: Policy, tmp_path: Path):
    changed = load_policy(_override(tmp_path, {"budget": {"daily_ceiling_usd": "3.5"}}))
    assert changed.budget.daily_ceiling_usd == Decimal("3.5")
    expected = policy.model_dump()
    expected["budget"]["daily_ceiling_usd"] = Decimal("3.5")
    assert changed.model_dump() == expected


def test_an_adequate_fidelity_of_one_tier_leaves_the_others(policy: Policy, tmp_path: Path):
    changed = load_policy(_override(tmp_path, {"routing": {"adequate_fidelity": {"preview": 0.2}}}))
    assert changed.routing.adequate_fidelity == policy.routing.adequate_fidelity | {"preview": 0.2}


def test_every_wrong_key_of_an_override_is_named(tmp_path: Path):
    path = _override(tmp_path, {"budget": {"daily_ceiling_usd": -1, "ceiling": 3}, "drift": {"consecutive_days": 0}})
    with pytest.raises(ConfigurationError) as caught:
        load_policy(path)
    said = str(caught.value)
    assert str(path) in said
    for part in ("budget.daily_ceiling_usd: ", "budget.ceiling: Extra inputs", "drift.consecutive_days: "):
        assert part in said


@pytest.mark.parametrize("content", ["[1]", "budget: [", ""])
def test_an_override_that_is_no_mapping_is_refused(tmp_path: Path, content: str):
    path = tmp_path / "policy.yaml"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match="policy file"):
        load_policy(path)


def test_the_mission_s_numbers_are_the_packaged_ones(policy: Policy):
    assert (policy.drift.freeze_above_usd, policy.drift.consecutive_days) == (Decimal("0.15"), 2)
    assert (policy.generation.poll_timeout_s, policy.generation.backoff_s) == (900.0, (2.0, 4.0, 8.0))
    assert (policy.generation.max_ladder_attempts, policy.generation.moderation_verdict_s) == (3, 3.0)
    assert policy.scoring.restore_rejection_rate == 0.10
    assert policy.budget.alert_share == 0.8


def test_no_secret_shows_in_the_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    for name, value in _SECRETS.items():
        monkeypatch.setenv(name, value)
    settings = Settings()  # pyright: ignore[reportCallIssue]  # every field comes from the environment
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump_json()}"
    assert not settings.sandboxed and settings.youtube_connected


def test_with_nothing_set_everything_is_local_and_in_the_sandbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    for name in _SECRETS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VIDEO_PIPELINE_STATE_DIR", str(tmp_path))
    settings = Settings()  # pyright: ignore[reportCallIssue]  # every field comes from the environment
    assert settings.sandboxed and not settings.youtube_connected
    assert (settings.inbox, settings.store) == (tmp_path / "inbox", str(tmp_path / "store"))


def test_a_sandboxed_pipeline_never_publishes_to_a_real_channel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    for name, value in _SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("FAL_KEY")
    settings = Settings()  # pyright: ignore[reportCallIssue]  # every field comes from the environment
    assert settings.sandboxed and not settings.youtube_connected
