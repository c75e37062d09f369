"""The composition root: settings become the domain's objects, each built when first asked for.

Dagster's resources and the command line both use it, so they can never be wired differently. It names no vendor:
`PROVIDERS` and `PLATFORMS` do.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from video_pipeline.alerts import DiscordWebhook, Notifier, SlackWebhook
from video_pipeline.briefs import NO_FOLDER, BiblesFolder, example_bibles, example_files, read_bibles
from video_pipeline.days import use_zone
from video_pipeline.errors import ConfigurationError
from video_pipeline.ledger import Ledger, open_ledger
from video_pipeline.policy import Policy, load_policy
from video_pipeline.routing import (
    Catalogue,
    load_catalogue,
    load_own_gpu_catalogue,
    load_sandbox_vendors_catalogue,
)
from video_pipeline.sandbox import SandboxAddress, ensure_running
from video_pipeline.settings import Mode, Settings, WorkerSettings, get_settings
from video_pipeline.storage import ObjectStore, open_store

if TYPE_CHECKING:
    import httpx

    from video_pipeline.briefs import Brief, Refusals
    from video_pipeline.generation import Enquiries, Provider, Webhooks
    from video_pipeline.publishing import Platform
    from video_pipeline.receiver import Receiver
    from video_pipeline.upscaling import ClipUpscaler, ClusterUpscaler, OnProgress

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Inbox:
    """Where briefs come from: a folder, and the packaged files that stand in for a day that has none.

    `platforms` are the names that a brief may give. A file is taken when it was not touched for `settle_s` seconds.
    `refusals` says which of its platforms could never take a brief's clip. `bibles` reads the bibles as they are now.
    """

    folder: Path
    examples: tuple[Path, ...]
    platforms: tuple[str, ...]
    settle_s: float
    refusals: "Refusals"
    bibles: Callable[[], BiblesFolder]


class Services:
    """What the stages work with, for one set of settings; `policy` replaces the one that the settings name."""

    def __init__(self, settings: Settings, policy: Policy | None = None) -> None:
        self.settings = settings
        self._policy = policy

    @cached_property
    def policy(self) -> Policy:
        policy = self._policy or load_policy(self.settings.policy_file)
        if policy.generation.remapping.lexicons is not None:
            # A team's own words are checked before anything is refused.
            from video_pipeline.remapping import remapper_for

            remapper_for(policy.generation.remapping)
        if self.settings.policy_file is not None:
            from video_pipeline.quality import check_rules

            check_rules(policy)
        return policy

    @cached_property
    def catalogue(self) -> Catalogue:
        """The models that can be bought: live, those of connected providers, with those of a GPU of the team's own.

        With none connected it is all that anybody could buy, so that a plan needs no keys. In the sandbox everything
        is connected.
        """
        from video_pipeline.generation import PROVIDERS, check_wires

        catalogue = check_wires(load_catalogue(self.settings.catalogue_file, sandbox=self._sandboxed))
        if self._sandboxed:
            if self.settings.catalogue_file is None:
                catalogue = catalogue.joined(check_wires(load_sandbox_vendors_catalogue()))
            return catalogue
        connected = [
            name for name, vendor in PROVIDERS.items() if self.settings.section(vendor.section).connected(name)
        ]
        if self.own_gpu and self.settings.catalogue_file is None:
            catalogue = catalogue.joined(check_wires(load_own_gpu_catalogue()))
        served = catalogue.served_by(connected)
        if connected and not served.models:
            raise ConfigurationError(
                f"No model of the catalogue {catalogue.name} is sold by {_listed(connected)}, which is all that is "
                "connected. Add one of its models there, or connect the provider of one that is in it."
            )
        return served if connected else catalogue

    @property
    def own_gpu(self) -> bool:
        """Whether a connected provider renders on the team's own GPU, which upscaling needs, too."""
        from video_pipeline.generation import PROVIDERS

        own = [(name, vendor) for name, vendor in PROVIDERS.items() if vendor.own_gpu and not self._sandboxed]
        return any(self.settings.section(vendor.section).connected(name) for name, vendor in own)

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger. Raises ConfigurationError when it is of the other mode, or of another time zone's days."""
        ledger = self.ledger_of_any_zone
        zone = ledger.governance.claim_zone(self.settings.time_zone)
        if zone != self.settings.time_zone:
            raise ConfigurationError(
                f"This ledger counts the days of {zone}, and VIDEO_PIPELINE_TIME_ZONE is {self.settings.time_zone}: "
                "the money of one day would count on another. Set it to the ledger's in every process, or move the "
                f"house with `video-pipeline time-zone {self.settings.time_zone}`."
            )
        return ledger

    @cached_property
    def ledger_of_any_zone(self) -> Ledger:
        """The ledger, claimed for the mode. Raises ConfigurationError when it is the other mode's."""
        ledger = _open_ledger(self.settings)
        mode = self.settings.mode
        world = ledger.governance.claim_world(mode)
        if world is not mode:
            raise ConfigurationError(
                f"This ledger is the {world} one, and VIDEO_PIPELINE_MODE is {mode.value}: what was bought and "
                f"published in one world must not count in the other. Set VIDEO_PIPELINE_MODE={world} to go on with "
                "it, or VIDEO_PIPELINE_STATE_DIR to another folder, or VIDEO_PIPELINE_LEDGER_URL to another database."
            )
        if self.unused_keys:
            _LOG.info(self.unused_keys)
        return ledger

    @cached_property
    def store(self) -> ObjectStore:
        return _open_store(self.settings)

    @cached_property
    def notifier(self) -> Notifier:
        channels = []
        if self.settings.slack_webhook_url:
            channels.append(SlackWebhook(self.settings.slack_webhook_url.get_secret_value()))
        if self.settings.discord_webhook_url:
            channels.append(DiscordWebhook(self.settings.discord_webhook_url.get_secret_value()))
        return Notifier(channels, self.ledger.alerts, self.policy.alerts)

    @cached_property
    def sandbox(self) -> SandboxAddress:
        """The sandbox, started when it is first needed."""
        return ensure_running(self.settings.state_dir / "sandbox")

    @property
    def inbox(self) -> Inbox:
        """The inbox; only in the sandbox do the examples stand in, so that there is something to see."""
        from video_pipeline.publishing import PLATFORMS

        examples = tuple(example_files()) if self._sandboxed else ()
        return Inbox(
            self.settings.inbox,
            examples,
            tuple(PLATFORMS),
            self.policy.intake.settle_s,
            self._refusals,
            self._bibles,
        )

    def _bibles(self) -> BiblesFolder:
        return read_bibles(self.settings.bibles, example_bibles() if self._sandboxed else NO_FOLDER)

    def _refusals(self, brief: "Brief") -> Mapping[str, Sequence[str]]:
        from video_pipeline.publishing import PLATFORMS, refusals

        limits = {name: vendor.limits for name, vendor in PLATFORMS.items()}
        longest = max((model.model for model in self.catalogue.models), key=len, default="")
        return refusals(brief, limits, model=longest)

    @cached_property
    def unused_keys(self) -> str:
        """A sentence on the vendors' keys that are set and not used, as the mode is `sandbox`; empty without any."""
        from video_pipeline.generation import PROVIDERS
        from video_pipeline.publishing import PLATFORMS

        if not self._sandboxed:
            return ""
        sections = [vendor.section for vendor in (*PROVIDERS.values(), *PLATFORMS.values())]
        names = dict.fromkeys(name for section in sections for name in self.settings.section(section).keys_set())
        if not names:
            return ""
        verb = "is" if len(names) == 1 else "are"
        return (
            f"{_listed(names)} {verb} set and not used, as VIDEO_PIPELINE_MODE is sandbox. "
            "VIDEO_PIPELINE_MODE=live buys and publishes for real."
        )

    def providers(self, client: "httpx.AsyncClient") -> "Mapping[str, Provider]":
        """The providers in use, over `client`, by name.

        Raises ConfigurationError when a provider or a platform is half connected: before anything is bought, not
        after. Raises it, too, when the mode is `live` and no provider is connected.
        """
        from video_pipeline.generation import PROVIDERS

        if self._sandboxed:
            base = self.sandbox.base_url
            return {name: vendor.connect_sandbox(base, client) for name, vendor in PROVIDERS.items()}
        _ = self.platforms
        connected = {}
        for name, vendor in PROVIDERS.items():
            provider = vendor.connect(self.settings.section(vendor.section), client)
            if provider is not None:
                connected[name] = provider
        if not connected:
            wanted = (f"{_listed(vendor.section.keys())} for {name}" for name, vendor in PROVIDERS.items())
            raise ConfigurationError(
                f"VIDEO_PIPELINE_MODE is live, and no provider is connected: set {', or '.join(wanted)}. Nothing was "
                "bought. With VIDEO_PIPELINE_MODE=sandbox none is needed."
            )
        return connected

    @property
    def enquiries(self) -> "Enquiries":
        """What the providers in use can be asked without buying anything."""
        from video_pipeline.generation import Enquiries

        return Enquiries(self.providers)

    @property
    def webhooks(self) -> "Webhooks":
        """Where providers are asked to call, if anywhere."""
        from video_pipeline.generation import Webhooks

        return Webhooks(self.settings.webhook_url)

    @cached_property
    def receiver(self) -> "Receiver":
        """What the providers that can call are to call.

        Raises ConfigurationError when no provider in use can.
        """
        from video_pipeline.generation import PROVIDERS
        from video_pipeline.receiver import Caller, KeySet, Receiver

        callers = {}
        for name, vendor in PROVIDERS.items():
            section = self.settings.section(vendor.section)
            if vendor.webhook is None or not (self._sandboxed or section.connected(name)):
                continue
            terms = vendor.webhook
            url = terms.sandbox_keys_url(self.sandbox.base_url) if self._sandboxed else terms.keys_url(section)
            callers[name] = Caller(KeySet(name, url), terms.verify)
        if not callers:
            able = [name for name, vendor in PROVIDERS.items() if vendor.webhook is not None]
            raise ConfigurationError(f"No connected provider calls webhooks; connect {_listed(able)}, which does.")
        return Receiver(ledger=self.ledger, notifier=self.notifier, callers=callers)

    @cached_property
    def platforms(self) -> "Mapping[str, Platform]":
        """Every platform by name; one without an account is a dry run.

        Raises ConfigurationError when one is half connected.
        """
        from video_pipeline.publishing import PLATFORMS, NotConnected

        connected = {}
        for name, vendor in PLATFORMS.items():
            if self._sandboxed:
                platform = vendor.connect_sandbox(self.sandbox.base_url)
            else:
                platform = vendor.connect(self.settings.section(vendor.section))
            connected[name] = platform or NotConnected(name, vendor.limits)
        return connected

    def upscaler(self, on_progress: "OnProgress") -> "ClipUpscaler | ClusterUpscaler":
        """What upscales: this machine by itself, or the Ray cluster that the settings name."""
        from video_pipeline.upscaling import ClusterUpscaler

        settings, policy = self.settings, self.policy
        own = _clip_upscaler(settings.for_workers, policy, self.ledger, self.store, on_progress)
        if settings.ray_address is None:
            return own
        make = partial(_upscaler_elsewhere, settings.for_workers, policy)
        return ClusterUpscaler(settings.ray_address, make, own, shared=settings.shared, on_progress=on_progress)

    @property
    def _sandboxed(self) -> bool:
        return self.settings.mode is Mode.SANDBOX


@lru_cache(maxsize=1)
def get_services() -> Services:
    """The process's own services, from its environment; connections and the catalogue are shared by all who ask."""
    return Services(get_settings())


def flush_alerts(within_s: float) -> None:
    """Give the alerts of this process's own services a last chance to go out; nothing where it told nobody."""
    if get_services.cache_info().currsize:
        services = get_services()
        # A cached property that was asked for; a command that told nobody opens no ledger for this.
        if "notifier" in vars(services):
            services.notifier.flush(within_s)


def _open_ledger(settings: Settings | WorkerSettings) -> Ledger:
    url = settings.ledger_url
    return open_ledger(url.get_secret_value() if url else None, embedded_dir=settings.state_dir / "ledger")


def _open_store(settings: Settings | WorkerSettings) -> ObjectStore:
    return open_store(settings.store, s3_endpoint_url=settings.s3_endpoint_url, s3_region=settings.s3_region)


def _upscaler_elsewhere(settings: WorkerSettings, policy: Policy, on_progress: "OnProgress") -> "ClipUpscaler":
    """On a machine of a cluster, where the ledger was claimed for its world by the one that sent this."""
    use_zone(settings.time_zone)
    return _clip_upscaler(settings, policy, _open_ledger(settings), _open_store(settings), on_progress)


def _clip_upscaler(
    settings: WorkerSettings, policy: Policy, ledger: Ledger, store: ObjectStore, on_progress: "OnProgress"
) -> "ClipUpscaler":
    from video_pipeline.upscaling import ClipUpscaler

    return ClipUpscaler(
        ledger=ledger,
        store=store,
        policy=policy.upscaling,
        short_side=policy.routing.delivered_short_side,
        weights_path=settings.weights_path(policy.upscaling.model),
        on_progress=on_progress,
    )


def _listed(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
