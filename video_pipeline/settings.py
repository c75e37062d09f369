"""The only reader of the environment: where things live, and whether the pipeline is live.

A vendor's keys stand in a `VendorSection` in its adapter's file. Thresholds, budgets and weights are policy
(`video_pipeline/policy.yaml`). Secrets are `SecretStr`, so that no log, traceback or page shows them (O4).
"""

import os
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from video_pipeline.days import use_zone, zone_of
from video_pipeline.errors import ConfigurationError

_PROJECT_ROOT = Path(__file__).resolve().parent.parent


def default_state_dir() -> Path:
    """Beside the checkout when run from one, else in the working directory."""
    root = _PROJECT_ROOT if (_PROJECT_ROOT / "pyproject.toml").exists() else Path.cwd()
    return root / ".state"


class Mode(StrEnum):
    """Which world the pipeline buys and publishes in."""

    SANDBOX = "sandbox"
    LIVE = "live"


class VendorSection(BaseSettings):
    """What the adapter of one vendor reads from the environment.

    An adapter's file declares a subclass, whose fields name their variables by `validation_alias`. Those that may be
    None (`SecretStr | None`, or `str | None` for the address of one's own server) connect it. Instances come from
    `Settings.section`.
    """

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", populate_by_name=True)

    @classmethod
    def keys(cls) -> tuple[str, ...]:
        """The variables that hold the vendor's keys, or where it is; all of them connect it."""
        return tuple(str(field.validation_alias) for field in _key_fields(cls).values())

    def keys_set(self) -> tuple[str, ...]:
        """Those of `keys` that are set."""
        return tuple(
            str(field.validation_alias)
            for name, field in _key_fields(type(self)).items()
            if getattr(self, name) is not None
        )

    def connected(self, vendor: str) -> bool:
        """Whether every key is set. Raises ConfigurationError, with `vendor` as the subject, when only some are."""
        present, wanted = self.keys_set(), self.keys()
        missing = [name for name in wanted if name not in present]
        if present and missing:
            verb = "is" if len(missing) == 1 else "are"
            raise ConfigurationError(
                f"{vendor} is only half connected: {' and '.join(missing)} {verb} not set. "
                f"Set all of {', '.join(wanted)}, or none of them."
            )
        return bool(present)

    def server(self, name: str) -> str:
        """The server's address in the field `name`, without a slash at its end.

        Raises ConfigurationError, with its variable, when it is none.
        """
        url = str(getattr(self, name)).strip().rstrip("/")
        if not _is_server(url):
            variable = type(self).model_fields[name].validation_alias
            raise ConfigurationError(
                f"{variable} is no address of a server; write it as https://host or http://host:port."
            )
        return url

    def hosts(self, name: str) -> tuple[str, ...]:
        """The hosts in the field `name`, which are separated by commas."""
        return tuple(host.strip() for host in str(getattr(self, name)).split(",") if host.strip())


def _is_server(url: str) -> bool:
    """Whether a text is an address of a server: nothing but its scheme, its host, and maybe a port and a path."""
    try:
        parts = urlsplit(url)
        # Reading the port checks it.
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    plain = not (parts.query or parts.fragment or parts.username or parts.password or any(map(str.isspace, url)))
    return named and plain and parts.scheme in ("http", "https")


def _key_fields(section: type[VendorSection]) -> dict[str, FieldInfo]:
    connecting = (SecretStr | None, str | None)
    return {name: field for name, field in section.model_fields.items() if field.annotation in connecting}


_SectionT = TypeVar("_SectionT", bound=VendorSection)


@dataclass(frozen=True)
class WorkerSettings:
    """All that the settings give to a process on another machine, which only upscales; folders are absolute.

    What is not named here stays here. The one secret is the ledger's URL.
    """

    state_dir: Path
    ledger_url: SecretStr | None
    store: str
    s3_endpoint_url: str | None
    s3_region: str | None
    weights: Path
    time_zone: str

    def weights_path(self, model: str) -> Path | None:
        """An official .pth of `model` in the folder of weights, where `upscale --fetch` puts it, if there is one."""
        path = self.weights / f"{model}.pth"
        return path if path.exists() else None


class Settings(BaseSettings):
    """Every field is read from `VIDEO_PIPELINE_<NAME>`, but for Dagster's own variable."""

    model_config = SettingsConfigDict(
        env_prefix="VIDEO_PIPELINE_", env_file=".env", env_ignore_empty=True, extra="ignore"
    )

    mode: Mode = Field(
        Mode.SANDBOX, description="`sandbox`: the stand-in serves everything; `live`: real vendors do."
    )
    state_dir: Path = Field(default_factory=default_state_dir, description="Local state; ignored by git.")
    inbox_dir: Path | None = Field(None, description="Folder that briefs are dropped in.")
    bibles_dir: Path | None = Field(None, description="Folder of the character and scene bibles.")
    time_zone: str = Field("UTC", description="Time zone of production days, such as Europe/Berlin.")
    ledger_url: SecretStr | None = Field(None, description="Postgres URL; unset starts an embedded server.")
    store_url: str | None = Field(None, description="Folder or s3://bucket/prefix for media and tables.")
    s3_endpoint_url: str | None = None
    s3_region: str | None = None
    policy_file: Path | None = Field(None, description="YAML laid over the packaged policy.")
    catalogue_file: Path | None = Field(None, description="YAML that replaces the packaged model catalogue.")
    weights_dir: Path | None = Field(None, description="Folder with official Real-ESRGAN .pth files.")
    ray_address: str | None = Field(None, description="Ray cluster that upscales; unset: this machine by itself.")
    dagster_home: Path | None = Field(
        None, validation_alias="DAGSTER_HOME", description="Folder of Dagster's instance; unset: in the state folder."
    )

    webhook_url: str | None = Field(None, description="Public address of the webhooks' receiver; unset: no webhooks.")

    slack_webhook_url: SecretStr | None = None
    discord_webhook_url: SecretStr | None = None

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, given: str) -> str:
        zone_of(given)
        return given

    @field_validator("webhook_url")
    @classmethod
    def _address(cls, given: str | None) -> str | None:
        """The address without a slash at its end."""
        if given is None:
            return None
        parts = urlsplit(given)
        plain = not (parts.query or parts.fragment or parts.username or parts.password)
        if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
            raise ValueError("write it as https://host or https://host/path, without anything behind that")
        return given.rstrip("/")

    def section(self, section: type[_SectionT]) -> _SectionT:
        """A vendor's own settings, read from the environment and the `.env` file now.

        Raises ConfigurationError naming every variable that is wrong.
        """
        try:
            return section()
        except ValidationError as error:
            raise _not_valid(error) from None

    @property
    def inbox(self) -> Path:
        return self.inbox_dir or self.state_dir / "inbox"

    @property
    def bibles(self) -> Path:
        return self.bibles_dir or self.state_dir / "bibles"

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
    def for_workers(self) -> WorkerSettings:
        """What a process needs that only upscales."""
        return WorkerSettings(
            # Another process may have another working directory.
            state_dir=self.state_dir.absolute(),
            ledger_url=self.ledger_url,
            store=self.store if "://" in self.store else str(Path(self.store).absolute()),
            s3_endpoint_url=self.s3_endpoint_url,
            s3_region=self.s3_region,
            weights=self.weights.absolute(),
            time_zone=self.time_zone,
        )


def keep_ray_quiet() -> None:
    """Ray reports on its use to its makers, unless the environment of the process that starts it says otherwise."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


def keep_hub_quiet() -> None:
    """What is loaded by path asks no model hub for anything; to be called before its client is imported."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")


def environment_with(**variables: str) -> dict[str, str]:
    """The environment of this process with `variables` in it, for a child."""
    return os.environ | variables


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Read the environment once a process, which is in their time zone from then on.

    Raises ConfigurationError naming every variable that is wrong.
    """
    try:
        settings = Settings()  # pyright: ignore[reportCallIssue]  # every field comes from the environment
    except ValidationError as error:
        raise _not_valid(error) from None
    use_zone(settings.time_zone)
    return settings


def _not_valid(error: ValidationError) -> ConfigurationError:
    """What is wrong with which variable; raised without its cause, which quotes what was given."""
    wrong = "; ".join(f"{_variable(str(item['loc'][0]))}: {item['msg']}" for item in error.errors())
    return ConfigurationError(f"The settings are not valid: {wrong}.")


def _variable(field: str) -> str:
    return f"VIDEO_PIPELINE_{field.upper()}" if field in Settings.model_fields else field
