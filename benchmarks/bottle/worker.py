"""The process that works: it runs a job of the graph for a day when it is told to, until it is ended or killed.

One line of JSON on its input is an order, one on its output the answer. The graph, its stages and Dagster are the
product's own; only what costs pixels is a stub, unless the month is to have them.
"""

import json
import sys
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
import vl_convert

from benchmarks.own_process import cpu_with_children_s
from video_pipeline.clips import ClipStatus, GeneratedClip, UpscaledClip
from video_pipeline.definitions import build_defs
from video_pipeline.media import probe
from video_pipeline.services import get_services
from video_pipeline.storage import ObjectStore


class UpscalerStub:
    """Delivers the file that was generated as it is, under another key: what a clip costs in time is left out."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def upscale_all(self, clips: Sequence[GeneratedClip]) -> Iterator[UpscaledClip]:
        for clip in clips:
            row = UpscaledClip(**clip.model_dump())
            if clip.status is ClipStatus.GENERATED and clip.media_key is not None:
                key = f"upscaled/{clip.media_sha256}-bottle.mp4"
                with self._store.local_copy(clip.media_key) as path:
                    stored = self._store.stat(key) or self._store.put_file(key, path, content_type="video/mp4")
                    video = probe(path).video
                row = row.model_copy(
                    update={
                        "status": ClipStatus.UPSCALED,
                        "final_key": stored.key,
                        "final_sha256": stored.sha256,
                        "final_bytes": stored.size_bytes,
                        "final_size": video.size if video else None,
                    }
                )
            yield row

    def describe(self) -> str:
        return "a stub"


def main() -> None:
    """Serve orders from the standard input until it is closed."""
    stubbed = "--pixels" not in sys.argv[1:]
    services = get_services()
    stub = UpscalerStub(services.store)
    if stubbed:
        _draw_nothing()
    definitions = build_defs(resources={"upscaler": lambda on_progress: stub} if stubbed else {})
    # Dagster's own books are in memory: in files they cost more than all stages, and no stage reads them.
    with dg.DagsterInstance.ephemeral() as instance:
        answer({"ready": True})
        for line in sys.stdin:
            order = json.loads(line)
            started = cpu_with_children_s()
            failure = _run(definitions, instance, order["job"], order["partition"])
            answer({"cpu_s": cpu_with_children_s() - started, "failure": failure})


def _run(definitions: dg.Definitions, instance: dg.DagsterInstance, job: str, partition: str) -> str:
    """Run a job to its end; what failed, if anything."""
    run_id = str(uuid.uuid4())
    result = definitions.resolve_job_def(job).execute_in_process(
        partition_key=partition,
        instance=instance,
        run_id=run_id,
        raise_on_error=False,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    if result.success:
        return ""
    failures = [event for event in result.all_events if event.is_step_failure]
    said = [f"{event.step_key}: {_deepest(event.step_failure_data.error)}" for event in failures]
    return "; ".join(said) or "the run failed, and no step says why"


def _deepest(error: Any) -> str:
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip() if error else "no reason was given"


def _draw_nothing() -> None:
    """Charts are empty pictures: to draw them takes a third of a night."""
    svg = '<svg xmlns="http://www.w3.org/2000/svg" width="640" height="320"></svg>'
    png = vl_convert.svg_to_png(svg)
    vl_convert.vegalite_to_svg = lambda *args, **options: svg
    vl_convert.svg_to_png = lambda *args, **options: png


def answer(document: dict[str, Any]) -> None:
    print(json.dumps(document), flush=True)


if __name__ == "__main__":
    main()
