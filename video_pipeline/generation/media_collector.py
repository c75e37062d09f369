"""From rendered to stored: the file that was paid for, fetched from the provider and kept in our own store."""

import asyncio
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from video_pipeline import checkpoints
from video_pipeline.alerts import Notifier
from video_pipeline.errors import ProviderError
from video_pipeline.generation import messages
from video_pipeline.generation.download import Downloaded, MediaGone, download
from video_pipeline.generation.ledger_threads import LedgerThreads
from video_pipeline.generation.providers import JobFailed, Provider
from video_pipeline.ledger import Failure, FailureKind, Job, JobKind, Ledger
from video_pipeline.policy import GenerationPolicy
from video_pipeline.storage import ObjectStore, StoredObject, clip_key


class MediaCollector:
    """Takes rendered jobs, whose bill is settled, to `stored`; a failed download costs time and nothing else."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        threads: LedgerThreads,
        store: ObjectStore,
        providers: Mapping[str, Provider],
        client: httpx.AsyncClient,
        policy: GenerationPolicy,
        notifier: Notifier,
    ) -> None:
        self._jobs = ledger.jobs
        self._db = threads
        self._store = store
        self._providers = providers
        self._client = client
        self._policy = policy
        self._notifier = notifier

    async def collect(self, job: Job) -> Job:
        """Download at once and keep it ourselves; a failed download is repeated, a render never is (S1, G2.4)."""
        if self._address_is_old(job):
            job = await self._fresh_address(job)
        with tempfile.TemporaryDirectory(prefix="download-") as folder:
            target = Path(folder) / f"media{_suffix(job)}"
            for wait_s in (*self._policy.backoff_s, None):
                try:
                    file = await self._download(job, target)
                    break
                except (httpx.TransportError, TimeoutError, MediaGone) as error:
                    if wait_s is None:
                        return await self._keep_asking(job, str(error) or type(error).__name__)
                    await asyncio.sleep(wait_s)
                    job = await self._fresh_address(job)
                except ProviderError as error:
                    return await self._lost(job, str(error))
            else:
                raise AssertionError("the last try returns")
            checkpoints.reached("generation.downloaded")
            stored = await self._keep(job, file)
        checkpoints.reached("generation.stored")
        return await self._db(self._jobs.stored, job, stored)

    async def _download(self, job: Job, target: Path) -> Downloaded:
        return await download(
            self._client,
            job.media_url or "",
            target,
            trusted_origins=self._providers[job.provider].trusted_origins,
            max_bytes=self._policy.max_media_bytes,
        )

    async def _keep(self, job: Job, file: Downloaded) -> StoredObject:
        suffix = _suffix(job)
        brief_id = job.clip_id.split("/", 1)[1]
        key = clip_key(job.day, brief_id, "raw", f"{job.key[:16]}-{file.sha256[:16]}{suffix}")
        content_type = "image/png" if suffix == ".png" else "video/mp4"
        return await asyncio.to_thread(self._store.put_file, key, file.path, content_type=content_type)

    async def _fresh_address(self, job: Job) -> Job:
        """Ask the provider where the file is now; signed addresses run out."""
        try:
            rendered = await self._providers[job.provider].result(job)
        except JobFailed:
            return job
        if rendered is None or rendered.media_url == job.media_url:
            return job
        return await self._db(self._jobs.note_media_url, job, rendered.media_url)

    async def _keep_asking(self, job: Job, reason: str) -> Job:
        """A paid file that cannot be fetched now: the job stays rendered, the next run downloads again (G2.4)."""
        await asyncio.to_thread(self._notifier.notify, messages.download_failing(job, reason))
        return job

    async def _lost(self, job: Job, reason: str) -> Job:
        """A paid file that must not be fetched: the money is settled, a person is told."""
        await asyncio.to_thread(self._notifier.notify, messages.media_lost(job, reason))
        return await self._db(self._jobs.given_up, job, Failure(FailureKind.INVALID, reason))

    def _address_is_old(self, job: Job) -> bool:
        """Whether the provider may have taken the file's address back by now."""
        lifetime = timedelta(seconds=self._providers[job.provider].terms.url_lifetime_s)
        return job.submitted_at is not None and datetime.now(UTC) - job.submitted_at > lifetime


def _suffix(job: Job) -> str:
    return ".png" if job.kind is JobKind.IMAGE else ".mp4"
