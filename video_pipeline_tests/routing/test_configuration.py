"""Policy and settings: what is laid over what, sentences for what is wrong, and secrets that never show."""

import pickle
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from pydantic import SecretStr

from video_pipeline.errors import ConfigurationError
from video_pipeline.generation import PROVIDERS
from video_pipeline.policy import Policy, load_policy
from video_pipeline.publishing import PLATFORMS
from video_pipeline.routing import load_catalogue
from video_pipeline.services import Services
from video_pipeline.settings import Mode, Settings, WorkerSettings, get_settings

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


def test_a_file_laid_over_a_policy_leaves_what_that_one_changed(tmp_path: Path):
    house = load_policy(
        _override(tmp_path, {"budget": {"daily_ceiling_usd": "3.5"}, "routing": {"max_upscale_factor": 3}})
    )
    changed = load_policy(_override(tmp_path, {"routing": {"max_upscale_factor": 2}}), over=house)
    assert changed.routing.max_upscale_factor == 2
    assert changed.model_copy(update={"routing": house.routing}) == house


def test_every_wrong_key_of_an_override_is_named(tmp_path: Path):
    path = _override(tmp_path, {"budget": {"daily_ceiling_usd": -1, "ceiling": 3}, "drift": {"consecutive_days": 0}})
    with pytest.raises(ConfigurationError) as caught:
        load_policy(path)
    said = str(caught.value)
    assert str(path) in said
    for part in ("budget.daily_ceiling_usd: ", "budget.ceiling: Extra inputs", "drift.consecutive_days: "):
        assert part in said


@pytest.mark.parametrize("key", ["demote_rejection_rate", "demote_refusal_rate"])
def test_an_override_with_a_key_of_an_earlier_release_is_told_the_new_one(tmp_path: Path, key: str):
    path = tmp_path / "policy.yaml"
    path.write_text(f"scoring: {{{key}: 0.4}}")
    with pytest.raises(ConfigurationError) as caught:
        load_policy(path)
    said = str(caught.value)
    assert str(path) in said
    assert f"scoring.{key}, which is now scoring.demote_rate" in said


@pytest.mark.parametrize("content", ["[1]", "budget: [", ""])
def test_an_override_that_is_no_mapping_is_refused(tmp_path: Path, content: str):
    path = tmp_path / "policy.yaml"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match="policy file"):
        load_policy(path)


def test_the_requirements_numbers_are_the_packaged_ones(policy: Policy):
    assert (policy.drift.freeze_above_usd, policy.drift.consecutive_days) == (Decimal("0.15"), 2)
    assert (policy.generation.poll_timeout_s, policy.generation.backoff_s) == (900.0, (2.0, 4.0, 8.0))
    assert (policy.generation.max_ladder_attempts, policy.generation.moderation_verdict_s) == (3, 3.0)
    assert policy.generation.max_attempts == 1 + 3 + policy.generation.max_other_models
    assert policy.scoring.demote_rate == 0.40
    assert policy.budget.alert_share == 0.8


def _read() -> Settings:
    """The settings of the environment, as it is now."""
    return get_settings.__wrapped__()


@pytest.fixture(autouse=True)
def _nothing_of_the_machines_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (*_SECRETS, "VIDEO_PIPELINE_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VIDEO_PIPELINE_STATE_DIR", str(tmp_path))


@pytest.fixture
def all_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in _SECRETS.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("all_keys")
def test_no_secret_shows_in_the_settings():
    settings = _read()
    sections = [settings.section(vendor.section) for vendor in (*PROVIDERS.values(), *PLATFORMS.values())]
    shown = "".join(f"{one!r} {one} {one.model_dump_json()}" for one in (settings, *sections))
    assert "hunter2" not in f"{shown} {settings.for_workers}"


def test_with_nothing_set_everything_is_local_and_in_the_sandbox(tmp_path: Path):
    settings = _read()
    assert settings.mode is Mode.SANDBOX
    assert (settings.inbox, settings.store) == (tmp_path / "inbox", str(tmp_path / "store"))
    assert Services(settings).unused_keys == ""


@pytest.mark.usefixtures("all_keys")
def test_keys_alone_change_nothing_and_that_is_said():
    services = Services(_read())
    assert services.settings.mode is Mode.SANDBOX
    assert services.catalogue.name == load_catalogue(sandbox=True).name
    assert services.inbox.examples
    assert services.unused_keys.startswith(
        "FAL_KEY, YOUTUBE_CLIENT_ID, YOUTUBE_CLIENT_SECRET and YOUTUBE_REFRESH_TOKEN are set and not used"
    )
    assert "hunter2" not in services.unused_keys


@pytest.mark.usefixtures("all_keys")
def test_live_is_the_real_catalogue_and_no_examples(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VIDEO_PIPELINE_MODE", "live")
    services = Services(_read())
    assert services.catalogue.name == load_catalogue(sandbox=False).name
    assert services.inbox.examples == ()
    assert services.unused_keys == ""
    assert set(services.providers(httpx.AsyncClient())) == {"fal"}
    assert {name for name, platform in services.platforms.items() if platform.connected} == {"youtube_shorts"}


def test_live_without_a_provider_is_a_sentence_that_names_the_variables(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VIDEO_PIPELINE_MODE", "live")
    with pytest.raises(ConfigurationError, match="no provider is connected: set FAL_KEY for fal"):
        Services(_read()).providers(httpx.AsyncClient())


def test_a_mode_that_is_none_is_a_sentence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VIDEO_PIPELINE_MODE", "production")
    with pytest.raises(ConfigurationError, match="VIDEO_PIPELINE_MODE: Input should be 'sandbox' or 'live'"):
        _read()


@pytest.mark.parametrize(("first", "then"), [("sandbox", "live"), ("live", "sandbox")])
def test_a_ledger_of_the_other_world_is_refused(
    monkeypatch: pytest.MonkeyPatch, ledger_url: str, first: str, then: str
):
    monkeypatch.setenv("VIDEO_PIPELINE_LEDGER_URL", ledger_url)
    for mode in (first, first):
        monkeypatch.setenv("VIDEO_PIPELINE_MODE", mode)
        Services(_read()).ledger.close()
    monkeypatch.setenv("VIDEO_PIPELINE_MODE", then)
    with pytest.raises(ConfigurationError, match=f"the {first} one, and VIDEO_PIPELINE_MODE is {then}"):
        _ = Services(_read()).ledger


class _SettingsOfTomorrow(Settings):
    """With a secret that nobody has thought of yet."""

    new_vendor_key: SecretStr | None = None


@pytest.mark.usefixtures("all_keys")
def test_a_worker_is_given_what_is_named_and_nothing_else(monkeypatch: pytest.MonkeyPatch):
    """A secret that is added to the settings stays here, until somebody names it for workers."""
    monkeypatch.setenv("VIDEO_PIPELINE_NEW_VENDOR_KEY", "hunter2-new")
    given = _SettingsOfTomorrow().for_workers  # pyright: ignore[reportCallIssue]  # from the environment
    assert isinstance(given, WorkerSettings)
    travels = pickle.dumps(given)
    for value in (*_SECRETS.values(), "hunter2-new"):
        assert (value.encode() in travels) is (value == _SECRETS["VIDEO_PIPELINE_LEDGER_URL"]), value


def test_the_webhooks_address_has_no_slash_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _read().webhook_url is None
    monkeypatch.setenv("VIDEO_PIPELINE_WEBHOOK_URL", "https://pipeline.example/in/")
    assert _read().webhook_url == "https://pipeline.example/in"


@pytest.mark.parametrize(
    "given",
    ["pipeline.example", "ftp://a.example", "https://", "https://u:hunter2@a.example", "https://a.example?b=c"],
)
def test_a_webhooks_address_that_is_none_is_said(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("VIDEO_PIPELINE_WEBHOOK_URL", given)
    with pytest.raises(ConfigurationError, match=r"VIDEO_PIPELINE_WEBHOOK_URL: .*write it as https://host") as caught:
        _read()
    assert "hunter2" not in str(caught.value)


def test_only_a_connected_provider_can_be_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEO_PIPELINE_MODE", "live")
    with pytest.raises(ConfigurationError, match="No connected provider calls webhooks; connect fal"):
        _ = Services(_read()).receiver
