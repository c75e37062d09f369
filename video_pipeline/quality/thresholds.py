"""Where a measure of a clip turns into a failure, and why there."""

from pydantic import BaseModel, ConfigDict


class TechnicalThresholds(BaseModel):
    """Where a picture measure turns into a failure. Luma is 0..255; shares are 0..1.

    Picture measures are taken on frames reduced to `analysed_side` pixels, where film grain has averaged out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    analysed_side: int = 160

    # ffmpeg's blackdetect defaults: a pixel under 10 % luma is black, a picture with 98 % of them is.
    # A night scene has lights, and passes (ffmpeg.org/ffmpeg-filters.html#blackdetect).
    black_luma: float = 25.5
    black_pixels: float = 0.98
    # A fade from and to black takes less of a short clip than this.
    max_black_share: float = 0.25

    # A picture stands still while no block of it, an eighth of a side, changes by this much on average. A frozen
    # picture coded at CRF 38 pops by 2..3 at its keyframes; within half a second real footage, even a talking
    # face before a tripod, changes by 4 and more.
    frozen_luma: float = 2.0
    # Animation "on threes" repeats a picture for an eighth of a second; half a second is a stall.
    frozen_run_s: float = 0.5
    # A hook may hold a title for a moment.
    max_frozen_share: float = 0.35

    # Neighbouring pixels of real footage, detailed or grainy, correlate by 0.8 and more; those of noise, of torn
    # lines and of random macroblocks by 0.5 at most.
    noisy_correlation: float = 0.55
    # So do the lights of a city at night; but that is mostly dark, and the next picture shows the same lights.
    night_luma: float = 64.0
    night_pixels: float = 0.6
    night_correlation: float = 0.5
    # Consecutive pictures of real footage correlate except at cuts; garbage does not resemble the garbage before.
    jump_correlation: float = 0.3
    # Eight cuts a second at 24 frames is beyond any edit.
    max_garbled_share: float = 0.34
    # Flat pictures have no correlation to speak of: their luma deviates by less than this.
    flat_deviation: float = 2.0

    # -60 dBFS: under the noise floor of any recording, above the dither of coded silence.
    silent_peak: float = 0.001
    # Sound that stops before half of the clip was not delivered.
    min_audio_share: float = 0.5

    # The frames decoded against the length that the container states: players round by a frame or two.
    max_length_disagreement: float = 0.05
    length_slack_frames: int = 3

    max_decode_s: float = 300.0
