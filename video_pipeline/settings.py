"""The only reader of the environment: where things live and which services are connected.

Thresholds, budgets and weights are not settings but policy (`video_pipeline/policy.yaml`). Secrets are
`SecretStr`, so that they never show in a log, a traceback or Dagster's UI (MISSION O4).
"""

import os
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Self, TypeVar

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

_PROJECT_ROOT = Path(__file__).resolve().parent.parent


def _default_state_dir() -> Path:
    """Beside the checkout when run from one, else in the working directory."""
    root = _PROJECT_ROOT if (_PROJECT_ROOT / "pyproject.toml").exists() else Path.cwd()
    return root / ".state"


class Mode(StrEnum):
    """Which world the pipeline buys and publishes in."""

    SANDBOX = "sandbox"
    LIVE = "live"


class VendorSection(BaseSettings):
    """What the adapter of one vendor reads from the environment.

    An adapter's file declares a subclass, whose fields name their variables by `validation_alias`. Instances come
    from `Settings.section`. Secrets are `SecretStr`, or they show in logs.
    """

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", populate_by_name=True)


_SectionT = TypeVar("_SectionT", bound=VendorSection)


class Settings(BaseSettings):
    """Every field is read from `VIDEO_PIPELINE_<NAME>`; the vendors' own names are accepted for their keys."""

    model_config = SettingsConfigDict(
        env_prefix="VIDEO_PIPELINE_", env_file=".env", env_ignore_empty=True, extra="ignore"
    )

    mode: Mode = Field(Mode.SANDBOX, description="`sandbox`: a stand-in serves everything; `live`: real vendors do.")
    state_dir: Path = Field(default_factory=_default_state_dir, description="Local state; ignored by git.")
    inbox_dir: Path | None = Field(None, description="Folder that briefs are dropped in.")
    ledger_url: SecretStr | None = Field(None, description="Postgres URL; unset starts an embedded server.")
    store_url: str | None = Field(None, description="Folder or s3://bucket/prefix for media and tables.")
    s3_endpoint_url: str | None = None
    s3_region: str | None = None
    policy_file: Path | None = Field(None, description="YAML laid over the packaged policy.")
    catalogue_file: Path | None = Field(None, description="YAML that replaces the packaged model catalogue.")
    weights_dir: Path | None = Field(None, description="Folder with official Real-ESRGAN .pth files.")
    ray_address: str | None = Field(None, description="Ray cluster that upscales; unset: this machine by itself.")

    fal_key: SecretStr | None = Field(None, validation_alias="FAL_KEY")
    fal_queue_url: str = "https://queue.fal.run"
    fal_api_url: str = "https://api.fal.ai"

    youtube_client_id: SecretStr | None = Field(None, validation_alias="YOUTUBE_CLIENT_ID")
    youtube_client_secret: SecretStr | None = Field(None, validation_alias="YOUTUBE_CLIENT_SECRET")
    youtube_refresh_token: SecretStr | None = Field(None, validation_alias="YOUTUBE_REFRESH_TOKEN")
    youtube_api_url: str = "https://www.googleapis.com"
    youtube_analytics_url: str = "https://youtubeanalytics.googleapis.com"
    youtube_token_url: str = "https://oauth2.googleapis.com/token"

    slack_webhook_url: SecretStr | None = None
    discord_webhook_url: SecretStr | None = None

    def section(self, section: type[_SectionT]) -> _SectionT:
        """A vendor's own settings, read from the environment and the `.env` file now."""
        return section()

    @property
    def inbox(self) -> Path:
        return self.inbox_dir or self.state_dir / "inbox"

    @property
    def store(self) -> str:
        return self.store_url or str(self.state_dir / "store")

    @property
    def weights(self) -> Path:
        return self.weights_dir or self.state_dir / "weights"

    @property
    def shared(self) -> bool:
        """Ledger and media are where other machines reach them."""
        return self.ledger_url is not None and self.store.startswith("s3://")

    @property
    def for_workers(self) -> Self:
        """What a process needs that only upscales: no provider's and no channel's key, and absolute paths."""
        youtube = ("youtube_client_id", "youtube_client_secret", "youtube_refresh_token")
        keys = dict.fromkeys(("fal_key", *youtube, "slack_webhook_url", "discord_webhook_url"))
        store = self.store if "://" in self.store else str(Path(self.store).absolute())
        # Another process may have another working directory.
        places = {"state_dir": self.state_dir.absolute(), "store_url": store, "weights_dir": self.weights.absolute()}
        return self.model_copy(update=keys | places)

    def weights_path(self, model: str) -> Path | None:
        """An official .pth of `model` in the folder of weights, where `upscale --fetch` puts it, if there is one."""
        path = self.weights / f"{model}.pth"
        return path if path.exists() else None

    @property
    def sandboxed(self) -> bool:
        """No provider is connected: the sandbox stands in for all of them."""
        return self.fal_key is None

    @property
    def youtube_connected(self) -> bool:
        """A real channel; a sandboxed pipeline never publishes to one."""
        return not self.sandboxed and all(self._youtube_parts.values())

    @property
    def youtube_missing(self) -> tuple[str, ...]:
        """The variables that keep a real channel from being connected; empty when all are set, or none is."""
        missing = tuple(name for name, value in self._youtube_parts.items() if not value)
        return () if self.sandboxed or len(missing) == len(self._youtube_parts) else missing

    @property
    def _youtube_parts(self) -> dict[str, SecretStr | None]:
        return {
            "YOUTUBE_CLIENT_ID": self.youtube_client_id,
            "YOUTUBE_CLIENT_SECRET": self.youtube_client_secret,
            "YOUTUBE_REFRESH_TOKEN": self.youtube_refresh_token,
        }


def keep_ray_quiet() -> None:
    """Ray reports on its use to its makers, unless the environment of the process that starts it says otherwise."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Read the environment once a process."""
    return Settings()  # pyright: ignore[reportCallIssue]  # every field comes from the environment
