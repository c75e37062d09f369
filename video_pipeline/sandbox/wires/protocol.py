"""What a vendor's wire is: the routes of its HTTP API, in front of the render farm and the channel."""

from dataclasses import dataclass
from typing import Protocol

from starlette.routing import BaseRoute

from video_pipeline.sandbox.channel import Channel
from video_pipeline.sandbox.deliveries import Deliveries
from video_pipeline.sandbox.downloads import Downloads
from video_pipeline.sandbox.farm import RenderFarm
from video_pipeline.sandbox.faults import Faults
from video_pipeline.sandbox.pricelist import PriceList


@dataclass(frozen=True)
class Backend:
    """What stands behind every wire."""

    base_url: str
    """Scheme, host and port, without a trailing slash."""
    farm: RenderFarm
    channel: Channel
    downloads: Downloads
    deliveries: Deliveries
    faults: Faults
    prices: PriceList


class Wire(Protocol):
    """One vendor's API. It reads requests into orders, and writes outcomes and faults in the vendor's shapes.

    Faults of submits, reads and uploads are taken by the wire, at the place that each of them names.
    """

    name: str
    """Stands in the books with everything that came through this wire."""

    def __init__(self, backend: Backend) -> None: ...

    def routes(self) -> list[BaseRoute]:
        """Paths that no other wire has."""
        ...
