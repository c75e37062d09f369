"""From rendered to stored: the file that was paid for, fetched from the provider and kept in our own store."""

import asyncio
import copy
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from video_pipeline import checkpoints
from video_pipeline.alerts import Notifier
from video_pipeline.generation import messages
from video_pipeline.generation.arrival import flaw_of
from video_pipeline.generation.download import Downloaded, NotFetched, download
from video_pipeline.generation.ledger_threads import LedgerThreads
from video_pipeline.generation.providers import JobFailed, Provider, Undecided
from video_pipeline.ledger import Job, JobKind, Lease, Ledger
from video_pipeline.policy import GenerationPolicy
from video_pipeline.scratch import scratch_folder
from video_pipeline.storage import ObjectStore, StoredObject, clip_key

# So many files come at a time; more would share the same line, and each has a file open here.
DOWNLOADS = 16


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
        self._downloads = asyncio.Semaphore(DOWNLOADS)
        self._policy = policy
        self._notifier = notifier

    def under(self, lease: Lease) -> "MediaCollector":
        """The same collector for the jobs of a clip that `lease` is held on."""
        collector = copy.copy(self)
        collector._jobs = self._jobs.under(lease)
        return collector

    async def collect(self, job: Job) -> Job:
        """Download at once and keep it ourselves; a failed download is repeated, a render never is (S1, G2.4)."""
        with scratch_folder("download") as folder:
            seen = set[str]()
            for number, wait_s in enumerate((*self._policy.backoff_s, None)):
                if number or self._address_is_old(job):
                    job = await self._fresh_address(job)
                try:
                    file = await self._arrived(job, folder / f"media{_suffix(job)}", seen)
                    break
                except NotFetched as error:
                    if wait_s is None:
                        return await self._keep_asking(job, str(error))
                    await asyncio.sleep(wait_s)
            else:
                raise AssertionError("the last try returns")
            checkpoints.reached("generation.downloaded")
            stored = await self._keep(job, file)
        checkpoints.reached("generation.stored")
        return await self._db(self._jobs.stored, job, stored)

    async def _arrived(self, job: Job, target: Path, seen: set[str]) -> Downloaded:
        """The file, once it is sure that it is the provider's; `seen` are the hashes of earlier tries.

        Raises NotFetched. A media file that is damaged is what the provider has when the same bytes come twice, as
        many as it says that there are: then it is the render that is bad, and the quality gate's to reject.
        """
        provider = self._providers[job.provider]
        async with self._downloads:
            file = await download(
                self._client,
                job.media_url or "",
                target,
                trusted_origins=provider.trusted_origins,
                media_origins=provider.media_origins,
                max_bytes=self._policy.max_media_bytes,
            )
        flaw = await asyncio.to_thread(flaw_of, target, job.kind)
        again = file.sha256 in seen
        seen.add(file.sha256)
        told = job.media_bytes
        other_size = f"{file.size_bytes:,} bytes came of {told:,}" if told not in (None, file.size_bytes) else ""
        if flaw is None and (again or not other_size):
            return file
        if flaw is not None and again and not flaw.foreign and not other_size:
            return file
        raise NotFetched("; ".join(filter(None, (flaw.reason if flaw else "", other_size))))

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
        except (JobFailed, Undecided) as error:
            # It was rendered and paid for: what is said of it now says nothing of the file.
            return await self._db(self._jobs.noted, job, str(error), error.answer)
        if (rendered.media_url, rendered.size_bytes) == (job.media_url, job.media_bytes):
            return job
        return await self._db(self._jobs.note_media, job, rendered.media_url, rendered.size_bytes)

    async def _keep_asking(self, job: Job, reason: str) -> Job:
        """A paid file that cannot be fetched now: the job stays rendered, the next run downloads again (G2.4)."""
        job = await self._db(self._jobs.noted, job, reason)
        await asyncio.to_thread(self._notifier.notify, messages.download_failing(job, reason))
        return job

    def _address_is_old(self, job: Job) -> bool:
        """Whether the provider may have taken the file's address back by now."""
        lifetime = timedelta(seconds=self._providers[job.provider].terms.url_lifetime_s)
        return job.submitted_at is not None and datetime.now(UTC) - job.submitted_at > lifetime


def _suffix(job: Job) -> str:
    return ".png" if job.kind is JobKind.IMAGE else ".mp4"
