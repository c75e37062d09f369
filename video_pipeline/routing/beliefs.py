"""What Gate 4 believes of a model, as Gate 1 reads it: how often a clip is accepted, what such a clip is worth."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field


class Belief(BaseModel):
    """The posterior of one version of a model.

    `accepted` and `lost` are the parameters of a Beta distribution over the share of clips whose first attempt at the
    model is accepted; `kinds` holds such a pair for each kind of shot that was seen. `worth` is what an accepted clip
    of it is worth against the usual clip of the same tier, platform, kind and length (1 is as much), with the
    standard deviation of what is believed. `clips` counts the clips that were tried at this version, `seen` those
    whose audience is known.
    """

    model_config = ConfigDict(frozen=True)

    version: str
    accepted: float = Field(gt=0)
    lost: float = Field(gt=0)
    worth: float = Field(default=1.0, gt=0)
    worth_sd: float = Field(gt=0)
    clips: int = Field(default=0, ge=0)
    seen: int = Field(default=0, ge=0)
    kinds: Mapping[str, tuple[float, float]] = Field(default_factory=dict[str, tuple[float, float]])

    @property
    def acceptance(self) -> float:
        """The mean of the Beta distribution."""
        return self.accepted / (self.accepted + self.lost)
