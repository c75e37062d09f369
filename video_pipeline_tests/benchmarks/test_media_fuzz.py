"""The mutations of clips: the same for a seed, and each another one. The run itself is done by hand."""

from benchmarks.media_fuzz import mutated


def test_a_seed_and_a_number_make_one_mutation() -> None:
    clips = {"a.mp4": bytes(range(256)) * 40, "b.mkv": bytes(range(255, -1, -1)) * 20}
    made = [mutated(clips, 11, number) for number in range(40)]
    assert made == [mutated(clips, 11, number) for number in range(40)]
    assert made != [mutated(clips, 12, number) for number in range(40)]
    assert {name for name, _ in made} == set(clips)
    assert not {content for _, content in made} & set(clips.values())
    assert mutated({"empty.mp4": b"", "a.mp4": b"a"}, 11, 0)[0] == "empty.mp4"
