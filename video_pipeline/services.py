"""The composition root: settings become the domain's objects, each built when first asked for.

Dagster's resource and the command line both use it, so they can never be wired differently.
"""

from collections.abc import Mapping
from datetime import date
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from video_pipeline.alerts import DiscordWebhook, Notifier, SlackWebhook
from video_pipeline.briefs import example_files
from video_pipeline.errors import ConfigurationError
from video_pipeline.ledger import Ledger, open_ledger
from video_pipeline.policy import Policy, load_policy
from video_pipeline.routing import Catalogue, RoutingState, load_catalogue
from video_pipeline.sandbox import SandboxAddress, ensure_running
from video_pipeline.settings import Settings
from video_pipeline.storage import ObjectStore, open_store

if TYPE_CHECKING:
    import httpx

    from video_pipeline.generation import Provider
    from video_pipeline.publishing import Platform
    from video_pipeline.upscaling import ClipUpscaler, ClusterUpscaler, OnProgress


class Services:
    """Everything that a stage needs, for one set of settings.

    Raises ConfigurationError when a channel is half connected: before anything is bought for it, not after.
    """

    def __init__(self, settings: Settings) -> None:
        missing = settings.youtube_missing
        if missing:
            raise ConfigurationError(
                f"YouTube is only half connected: {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not "
                "set. Set all three YOUTUBE_ variables to publish, or none of them for a dry run."
            )
        self.settings = settings

    @cached_property
    def policy(self) -> Policy:
        return load_policy(self.settings.policy_file)

    @cached_property
    def catalogue(self) -> Catalogue:
        from video_pipeline.generation import check_wires

        return check_wires(load_catalogue(self.settings.catalogue_file, sandbox=self.settings.sandboxed))

    @cached_property
    def ledger(self) -> Ledger:
        ledger = _open_ledger(self.settings)
        mine = "sandbox" if self.settings.sandboxed else "live"
        world = ledger.governance.claim_world(mine)
        if world != mine:
            raise ConfigurationError(
                f"This ledger is the {world} one, and FAL_KEY is {'not ' if mine == 'sandbox' else ''}set: what was "
                "bought and published in one world must not count in the other. Set VIDEO_PIPELINE_STATE_DIR to "
                "another folder, or VIDEO_PIPELINE_LEDGER_URL to another database."
            )
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
        return Notifier(channels, self.ledger.alerts)

    @cached_property
    def sandbox(self) -> SandboxAddress:
        """The sandbox, started when it is first needed."""
        return ensure_running(self.settings.state_dir / "sandbox")

    @property
    def example_files(self) -> list[Path]:
        """What a sandboxed pipeline makes of a day that has no briefs, so that there is something to see."""
        return example_files() if self.settings.sandboxed else []

    def routing_state(self) -> RoutingState:
        """What Gate 4 has put in force."""
        from video_pipeline.feedback import routing_state

        return routing_state(self.ledger, self.policy.scoring)

    def providers(self, client: "httpx.AsyncClient") -> Mapping[str, "Provider"]:
        """The providers in use, over `client`."""
        from video_pipeline.generation import PROVIDERS

        if self.settings.sandboxed:
            base = self.sandbox.base_url
            return {name: vendor.connect_sandbox(base, client) for name, vendor in PROVIDERS.items()}
        connected = {
            name: vendor.connect(self.settings.section(vendor.section), client) for name, vendor in PROVIDERS.items()
        }
        return {name: provider for name, provider in connected.items() if provider is not None}

    @cached_property
    def platforms(self) -> Mapping[str, "Platform"]:
        """Every platform; one without an account is there as not connected."""
        from video_pipeline.briefs import Platform as PlatformName
        from video_pipeline.publishing import NotConnected

        connected: dict[str, Platform] = {name.value: NotConnected(name.value) for name in PlatformName}
        if self.settings.sandboxed or self.settings.youtube_connected:
            connected[PlatformName.YOUTUBE_SHORTS.value] = self._youtube()
        return connected

    def upscaler(self, on_progress: "OnProgress") -> "ClipUpscaler | ClusterUpscaler":
        """What upscales: this machine by itself, or the Ray cluster that the settings name."""
        from video_pipeline.upscaling import ClusterUpscaler

        settings, policy = self.settings, self.policy
        own = _clip_upscaler(settings, policy, self.ledger, self.store, on_progress)
        if settings.ray_address is None:
            return own
        make = partial(_upscaler_elsewhere, settings.for_workers, policy)
        return ClusterUpscaler(settings.ray_address, make, own, shared=settings.shared, on_progress=on_progress)

    def _youtube(self) -> "Platform":
        import httpx

        from video_pipeline.publishing import YouTubeShorts

        settings = self.settings
        # As for the providers: a proxy or a .netrc of the machine has no part in what is published.
        client = httpx.Client(timeout=httpx.Timeout(30, read=120), trust_env=False)
        if settings.sandboxed:
            base = self.sandbox.base_url
            return YouTubeShorts(
                client,
                client_id="sandbox",
                client_secret="sandbox",
                refresh_token="sandbox",
                api_url=f"{base}/youtube",
                analytics_url=f"{base}/youtube-analytics",
                token_url=f"{base}/oauth2/token",
                watch_url=f"{base}/shorts/{{video_id}}",
            )
        secrets = [
            secret.get_secret_value() if secret else ""
            for secret in (
                settings.youtube_client_id,
                settings.youtube_client_secret,
                settings.youtube_refresh_token,
            )
        ]
        return YouTubeShorts(
            client,
            client_id=secrets[0],
            client_secret=secrets[1],
            refresh_token=secrets[2],
            api_url=settings.youtube_api_url,
            analytics_url=settings.youtube_analytics_url,
            token_url=settings.youtube_token_url,
        )


def _open_ledger(settings: Settings) -> Ledger:
    url = settings.ledger_url
    return open_ledger(url.get_secret_value() if url else None, embedded_dir=settings.state_dir / "ledger")


def _open_store(settings: Settings) -> ObjectStore:
    return open_store(settings.store, s3_endpoint_url=settings.s3_endpoint_url, s3_region=settings.s3_region)


def _upscaler_elsewhere(settings: Settings, policy: Policy, on_progress: "OnProgress") -> "ClipUpscaler":
    """On a machine of a cluster, where the ledger was claimed for its world by the one that sent this."""
    return _clip_upscaler(settings, policy, _open_ledger(settings), _open_store(settings), on_progress)


def _clip_upscaler(
    settings: Settings, policy: Policy, ledger: Ledger, store: ObjectStore, on_progress: "OnProgress"
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


def day_of(partition_key: str) -> date:
    """The production day of a daily partition, or the first day of a weekly one."""
    return date.fromisoformat(partition_key)
