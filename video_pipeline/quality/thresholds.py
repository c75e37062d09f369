"""What counts as black, still or garbled when a clip is measured, and why. How much of it fails is in `technical`."""

from pydantic import BaseModel, ConfigDict


class MeasurementThresholds(BaseModel):
    """What a picture counts as. Luma is 0..255, correlations are -1..1.

    Picture measures are taken on frames reduced to `analysed_side` pixels, where film grain has averaged out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    analysed_side: int = 160

    # ffmpeg's blackdetect defaults: a pixel under 10 % luma is black, a picture with 98 % of them is.
    # A night scene has lights, and passes (ffmpeg.org/ffmpeg-filters.html#blackdetect).
    black_luma: float = 25.5
    black_pixels: float = 0.98

    # A picture stands still while no block of it, an eighth of a side, changes by this much on average. A frozen
    # picture coded at CRF 38 pops by 2..3 at its keyframes; within half a second real footage, even a talking
    # face before a tripod, changes by 4 and more.
    frozen_luma: float = 2.0
    # Animation "on threes" repeats a picture for an eighth of a second; half a second is a stall.
    frozen_run_s: float = 0.5

    # Neighbouring pixels of real footage, detailed or grainy, correlate by 0.8 and more; those of noise, of torn
    # lines and of random macroblocks by 0.5 at most.
    noisy_correlation: float = 0.55
    # So do the lights of a city at night; but that is mostly dark, and the next picture shows the same lights.
    night_luma: float = 64.0
    night_pixels: float = 0.6
    night_correlation: float = 0.5
    # Consecutive pictures of real footage correlate except at cuts; garbage does not resemble the garbage before.
    jump_correlation: float = 0.3
    # Flat pictures have no correlation to speak of: their luma deviates by less than this.
    flat_deviation: float = 2.0

    max_decode_s: float = 300.0
