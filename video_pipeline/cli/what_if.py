"""`what-if`: what past days would have cost, and come to, under another policy or other prices."""

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from video_pipeline import days
from video_pipeline.cli.arguments import parse_day
from video_pipeline.cli.console import console, escaped
from video_pipeline.errors import ConfigurationError
from video_pipeline.services import get_services

if TYPE_CHECKING:
    from video_pipeline.feedback import Drawn, Estimate, Untold, WhatIf, WhatIfRow

_SHOWN = 5


def what_if(
    span: Annotated[str, typer.Option("--days", help="The days to replay, FIRST..LAST; or one day.")],
    policy: Annotated[Path | None, typer.Option(help="YAML laid over the policy in use: the keys to differ.")] = None,
    prices: Annotated[
        Path | None,
        typer.Option(help="YAML laid over the catalogue in use: the models and prices to differ."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """What past days would have cost under another policy or other prices. Needs no keys, and changes nothing."""
    from video_pipeline.feedback import not_replayed, recorded_days, replay
    from video_pipeline.policy import load_policy
    from video_pipeline.routing import load_prices

    services, (first, last) = get_services(), _parse_days(span)
    new_policy = load_policy(policy, over=services.policy) if policy else services.policy
    priced = load_prices(prices, services.catalogue) if prices else None
    record = recorded_days(services.ledger, services.store, new_policy, first=first, last=last)
    answer = replay(record, services.catalogue, new_policy, prices=priced)
    if not answer.days:
        raise ConfigurationError(
            f"None of the days from {first} to {last} was ever planned, so there is nothing to replay. Give days on "
            "which briefs were run, as in --days 2026-11-01..2026-11-20."
        )
    left = not_replayed(services.policy, new_policy)
    if json:
        asked = {
            "first": first.isoformat(),
            "last": last.isoformat(),
            "policy": str(policy) if policy else None,
            "prices": str(prices) if prices else None,
            "not_replayed": left,
        }
        console.print_json(data=asked | answer.model_dump(mode="json"), ensure_ascii=True)
        return
    console.print(_table(answer, first, last))
    for sentence in _sentences(answer, left):
        console.print(escaped(sentence), highlight=False)


def _parse_days(text: str) -> tuple[date, date]:
    """The first and the last day meant; ConfigurationError when they are none, or not over."""
    begin, dots, end = text.partition("..")
    first = parse_day(begin.strip())
    last = parse_day(end.strip()) if dots else first
    if last < first:
        raise ConfigurationError(f"--days {text} ends before it begins; write the earlier day first.")
    if last > days.today():
        raise ConfigurationError(f"--days {text} ends after today, {days.today()}: only past days can be replayed.")
    return first, last


def _table(answer: "WhatIf", first: date, last: date) -> Table:
    title = f"What if: {first} to {last}, {answer.days} days with plans, {answer.shots} shots"
    table = Table(title=title, title_justify="left", caption=_CAPTION, caption_justify="left")
    for name in ("tier", "model"):
        table.add_column(name)
    for name in ("clips", "would be", "told", "US$", "would be", "delivered", "would be", "refused", "would be"):
        table.add_column(name, justify="right")
    for row in answer.rows:
        table.add_row(row.tier, escaped(row.model or "nobody"), *_cells(row))
    table.add_section()
    table.add_row("all", "", *_cells(answer))
    return table


_CAPTION = (
    "Would be: of the clips that can be told, with the interval that holds in 90 of 100 cases. Refused: at first, by "
    "the model that the clip was given to."
)


def _cells(row: "WhatIfRow | WhatIf") -> list[str]:
    then, instead = row.then, row.instead
    told = f"{instead.told / instead.clips:.0%}" if instead.clips else ""
    would_be = [_usd(instead.usd), _count(instead.delivered), _count(instead.refused)]
    usd, delivered, refused = would_be if instead.told or not instead.clips else ["?"] * 3
    return [
        _clips(then.clips),
        _clips(instead.clips),
        told,
        f"{then.usd:.2f}",
        usd,
        _clips(then.delivered),
        delivered,
        _clips(then.refused),
        refused,
    ]


def _sentences(answer: "WhatIf", left: Sequence[str]) -> list[str]:
    then, instead = answer.then_told, answer.instead
    told = instead.told / instead.clips if instead.clips else 1.0
    said = [
        f"{told:.0%} of the clips can be told, {_clips(instead.told)} of {_clips(instead.clips)}; "
        f"{_clips(instead.as_recorded)} of them would have gone where they went. Those that can be told have cost "
        f"${then.usd:.2f} and would have cost ${_usd(instead.usd)}; {_clips(then.delivered)} of them were delivered "
        f"and {_count(instead.delivered)} would have been."
    ]
    if then.delivered and instead.delivered.value:
        was, would_be = then.usd / then.delivered, instead.usd.value / instead.delivered.value
        said[0] += f" A delivered clip has cost ${was:.4f} and would have cost about ${would_be:.4f}."
    if answer.drawn:
        said.append(_by_draws(answer.drawn))
    if answer.untold:
        said.append(_untold(answer.untold))
    if answer.not_bought or answer.not_over:
        said.append(
            f"Left out are {answer.not_bought} shots that no model has made or refused (held, or served by an "
            f"approved preview), and {answer.not_over} that are under way or in doubt."
        )
    if answer.unpriced:
        listed = ", ".join(f"{model} ({attempts})" for model, attempts in answer.unpriced.items())
        said.append(f"Attempts at models that the price list has no price for cost what they were billed: {listed}.")
    if answer.without_plans:
        said.append(f"Never planned, and so not replayed: {_listed(answer.without_plans)}.")
    if answer.without_facts:
        said.append(
            f"Not scored yet, so that a clip counts as delivered when its shots were accepted: "
            f"{_listed(answer.without_facts)}."
        )
    if left:
        said.append(f"Only the choice of models is replayed, so these keys change nothing here: {', '.join(left)}.")
    return said


def _by_draws(drawn: "Drawn") -> str:
    delivered, refused = (
        f"{one.value:.0%} ({one.low:.0%} to {one.high:.0%})" for one in (drawn.delivered, drawn.refused)
    )
    usd = f"${drawn.usd.value:.4f} (${drawn.usd.low:.4f} to ${drawn.usd.high:.4f})"
    return (
        f"By the logged draws alone, {drawn.clips} clips that say as much as {drawn.effective:.0f}, a clip would "
        f"have cost {usd}, {delivered} would have been delivered and {refused} refused at first."
    )


def _untold(untold: "Sequence[Untold]") -> str:
    courses = [
        f"{one.model} {one.model_version} was never tried on {one.kind} shots ({one.shots}, ${one.list_usd:.2f} for "
        "one attempt at each)"
        for one in untold[:_SHOWN]
    ]
    if len(untold) > _SHOWN:
        courses.append(f"and {len(untold) - _SHOWN} more such, {sum(one.shots for one in untold[_SHOWN:])} shots")
    return f"{_clips(sum(one.clips for one in untold))} clips cannot be told: {'; '.join(courses)}."


def _listed(found: Sequence[date]) -> str:
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(map(str, found[:_SHOWN])) + more


def _clips(number: float) -> str:
    """A clip of several shots may have gone to several models."""
    return f"{number:.1f}".removesuffix(".0")


def _count(estimate: "Estimate") -> str:
    return _told(estimate, _clips)


def _usd(estimate: "Estimate") -> str:
    return _told(estimate, "{:.2f}".format)


def _told(estimate: "Estimate", said: Callable[[float], str]) -> str:
    if estimate.low == estimate.high:
        return said(estimate.value)
    return f"{said(estimate.value)} ({said(estimate.low)} to {said(estimate.high)})"
