"""The pages that people open: the books as tables, and a published video. Everything shown is escaped."""

from decimal import Decimal
from html import escape
from typing import Any

from video_pipeline.sandbox.channel import Video

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; font-size: 13px; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #8884; vertical-align: top; }
.number { font-variant-numeric: tabular-nums; }
.watch { max-width: 26rem; } .watch video { width: 100%; border-radius: .8rem; background: #000; }
.quiet { color: #777; }
"""


def books(content: dict[str, list[dict[str, Any]]], faults: list[dict[str, Any]]) -> str:
    """The sandbox's front page: requests and videos, newest first, and the faults in force."""
    requests, videos = content["requests"][::-1], content["videos"][::-1]
    billed = sum((Decimal(entry["usd"]) for entry in requests), Decimal(0))
    request_rows = [
        (
            escape(entry["accepted_at"][:19].replace("T", " ")),
            escape(entry["endpoint"]),
            escape(entry["prompt"][:120]),
            _number(entry["seconds"]),
            _number(entry["usd"]),
            escape(entry["outcome"]),
        )
        for entry in requests
    ]
    video_rows = [
        (
            escape(entry["published_at"][:19].replace("T", " ")),
            escape(entry["wire"]),
            f'<a href="/published/{escape(entry["video_id"])}">{escape(entry["title"])}</a>',
            escape(entry["model"] or ""),
            escape(entry["privacyStatus"]),
            _number(f"{entry['bytes'] / 1000:,.0f}"),
        )
        for entry in videos
    ]
    fault_rows = [tuple(escape(str(value)) for value in fault.values()) for fault in faults]
    sections = [
        f"<h1>Sandbox</h1><p>Stands in for the video providers and the platforms. {len(requests)} requests accepted, "
        f"{billed} USD billed (play money), {len(videos)} videos published.</p>",
        _table("Published", ("when (UTC)", "platform", "title", "model", "privacy", "kB"), video_rows),
        _table("Requests", ("when (UTC)", "endpoint", "prompt", "s", "USD", "outcome"), request_rows),
        _table("Faults in force", ("fault", "match", "times", "value"), fault_rows),
    ]
    return _page("Sandbox", "".join(sections))


def watch(video: Video, numbers: dict[str, Any]) -> str:
    """A published video with its numbers."""
    counts = f"{numbers['views']:,} views · {numbers['likes']:,} likes · {numbers['comments']:,} comments"
    body = (
        f'<main class="watch"><video src="/published/{escape(video.video_id)}.mp4" controls autoplay muted loop '
        f'playsinline></video><h1>{escape(video.post.title)}</h1><p class="quiet">{counts}</p>'
        f"<p>{escape(video.post.description).replace(chr(10), '<br>')}</p></main>"
    )
    return _page(video.post.title, body)


def missing() -> str:
    return _page("Not found", "<h1>This video does not exist</h1>")


def _number(text: str) -> str:
    return f'<span class="number">{escape(text)}</span>'


def _table(title: str, heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    if not rows:
        return f'<h2>{title}</h2><p class="quiet">None.</p>'
    head = "".join(f"<th>{name}</th>" for name in heads)
    lines = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<h2>{title}</h2><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"


def _page(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body>{body}</body></html>"
    )
