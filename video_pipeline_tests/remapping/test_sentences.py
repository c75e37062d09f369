"""The table of sentences: what each is softened to, and what is left alone."""

import pytest

from video_pipeline.policy import load_policy
from video_pipeline.remapping import Degree, remapper_for
from video_pipeline_tests.remapping.sentences import AS_IT_IS, SOFTENED, Said

REMAPPER = remapper_for(load_policy().generation.remapping)


@pytest.mark.parametrize(
    "said", [pytest.param(said, id=f"{code}-{n}") for code, table in SOFTENED.items() for n, said in enumerate(table)]
)
def test_a_sentence_is_said_more_softly(said: Said) -> None:
    [softest, *_] = [one for one in REMAPPER.variants(said.prompt)[::-1] if one.degree < Degree.SCENE]
    assert softest.prompt == said.softest
    assert {risk.category for risk in REMAPPER.risks(said.prompt)} == set(said.categories.split())
    assert REMAPPER.risks(said.softest) == ()


@pytest.mark.parametrize(
    "prompt",
    [pytest.param(text, id=f"{code}-{n}") for code, table in AS_IT_IS.items() for n, text in enumerate(table)],
)
def test_a_harmless_sentence_stays_as_it_is(prompt: str) -> None:
    assert REMAPPER.risks(prompt) == ()
    assert REMAPPER.variants(prompt) == ()
    assert REMAPPER.softest(prompt) == prompt


@pytest.mark.parametrize(
    ("prompt", "impersonal"),
    [
        ("A teenage skateboarder under a bridge", "A distant figure under a bridge"),
        ("A barrister shouting in a greenhouse", "Medium shot, minimal expression, in a greenhouse"),
        ("Close-up of a gran with curlers grinning", "Medium shot, minimal expression, with curlers"),
        ("Un chaval con gorra llorando en una azotea", "Plano medio, expresión mínima, con gorra en una azotea"),
        ("一位年迈的寡妇在屋顶上", "远处的身影在屋顶上"),
        # What things do is nobody's.
        ("A kettle screaming on a stove", None),
        ("A canary singing in a barber's window", None),
    ],
)
def test_who_does_what_only_people_do_is_taken_for_one(prompt: str, impersonal: str | None) -> None:
    said = {one.degree: one.prompt for one in REMAPPER.variants(prompt)}
    assert said.get(Degree.IMPERSONAL) == impersonal


@pytest.mark.parametrize(
    ("prompt", "softer"),
    [
        ("Giorgia Meloni at a desk", "Someone at a desk"),
        ("Timothée Chalamet in the desert", "Someone in the desert"),
        ("Sha'Carri Richardson on a track", "Someone on a track"),
        ("Wladimir Putin auf einem Pferd", "Eine Gestalt auf einem Pferd"),
        ("Jürgen Klopp am Rand", "Eine Gestalt am Rand"),
        ("Volodímir Zelenski en una oficina", "Una silueta en una oficina"),
        ("Vladimir Poutine dans un bureau", "Une silhouette dans un bureau"),
        ("Luiz Inácio Lula da Silva em um palco", "Uma silhueta num palco"),
        ("泰勒·斯威夫特在舞台上", "一个身影在舞台上"),
        ("谷爱凌在雪山上", "一个身影在雪山上"),
    ],
)
def test_people_in_office_on_stage_and_in_sport_are_known_as_each_language_spells_them(
    prompt: str, softer: str
) -> None:
    assert REMAPPER.variants(prompt)[0].prompt == softer
    assert {risk.category for risk in REMAPPER.risks(prompt)} == {"name"}


@pytest.mark.parametrize(
    "prompt",
    [
        "A drake on a pond",
        "五月天的雪山",
        "新郎平静地看海",
        "四周迅速变暗",
        "本科比例的图表",
        "Long, long roads",
        "A senna bush",
    ],
)
def test_common_words_are_nobodys_names(prompt: str) -> None:
    assert "name" not in {risk.category for risk in REMAPPER.risks(prompt)}


@pytest.mark.parametrize(
    ("prompt", "place"),
    [
        ("A soldier running from a fire through a burning street", "through a burning street"),
        ("A singer performing for a crowd under neon lights", "under neon lights"),
        ("A dancer dressed as a swan on a dark stage", "on a dark stage"),
        ("An old man staring into the distance on a bench by the river", "on a bench by the river"),
        ("A girl laughing at a joke in a garden", "in a garden"),
        ("A child crying for its dog at a station in the rain", "at a station in the rain"),
        ("Un soldado gritando durante la noche en una calle mojada", "en una calle mojada"),
        ("Un hombre llorando sin abrigo sobre un lago helado", "sobre un lago helado"),
        ("Ein Soldat schreit während der Nacht auf einer nassen Straße", "auf einer nassen Straße"),
        ("Une femme sourit sans manteau sur un lac gelé", "sur un lac gelé"),
        ("Um soldado gritando durante a noite em uma rua molhada", "numa rua molhada"),
        ("一个女人为了火车在小车站里哭泣", "在小车站里"),
    ],
)
def test_the_scene_is_where_the_people_are_and_not_what_they_are_at(prompt: str, place: str) -> None:
    [scene] = [one.prompt for one in REMAPPER.variants(prompt) if one.degree is Degree.SCENE]
    assert scene.replace("，", ", ").split(", ")[-1] == place


def test_a_scene_without_a_place_is_a_setting() -> None:
    [scene] = [one.prompt for one in REMAPPER.variants("一名士兵从火中跑过街道") if one.degree is Degree.SCENE]
    assert scene == "安静的环境"


def test_variants_change_more_and_more_and_say_what() -> None:
    variants = REMAPPER.variants("Close-up of a woman crying in the rain")
    assert [(one.degree, one.prompt) for one in variants] == [
        (Degree.NAMED, "Close-up of a woman in the rain, minimal expression"),
        (Degree.ALL, "Medium shot of a woman in the rain, minimal expression"),
        (Degree.IMPERSONAL, "Medium shot, minimal expression, in the rain"),
    ]
    assert [(change.category, change.before, change.after) for change in variants[1].changes] == [
        ("framing", "Close-up", "medium shot"),
        ("emotion", "crying", ""),
    ]
    assert variants[1].told == "framing 'Close-up' -> 'medium shot', emotion 'crying' left out"


@pytest.mark.parametrize(
    ("prompt", "scene"),
    [
        ("A boy plays with a red kite on a beach at noon, gulls", "Quiet setting, on a beach at noon, gulls"),
        (
            "The president hums and weeps under a bridge, a brass lamp",
            "Medium shot, formal setting, minimal expression, under a bridge, a brass lamp",
        ),
        ("一个小女孩在屋顶上跳舞，清晨的雾", "安静的环境，在屋顶上，清晨的雾"),
    ],
)
def test_at_last_nothing_is_said_of_people_but_where_they_are(prompt: str, scene: str) -> None:
    last = REMAPPER.variants(prompt)[-1]
    assert (last.degree, last.prompt) == (Degree.SCENE, scene)
    assert REMAPPER.softest(prompt) == scene


def test_what_the_refusal_names_is_put_otherwise_first() -> None:
    prompt = "A nurse laughing beside a Tesla"
    named = REMAPPER.variants(prompt, "Blocked: trademark (tesla)")
    assert named[0].prompt == "A nurse laughing beside a car"
    assert REMAPPER.variants(prompt)[0].prompt == "A nurse beside a Tesla, minimal expression"


def test_a_category_that_the_policy_leaves_out_stays() -> None:
    policy = load_policy().generation.remapping
    without = policy.model_copy(update={"categories": tuple(c for c in policy.categories if c != "brand")})
    assert remapper_for(without).variants("A Tesla by the sea") == ()


@pytest.mark.parametrize(
    ("prompt", "impersonal"),
    [
        (
            "Scenes:\n- A girl smiles\n- A lighthouse\n",
            "Scenes:\n- Medium shot, quiet setting, minimal expression\n- A lighthouse\n",
        ),
        (
            '"What a day!" says the barista. Rain on glass.',
            '"What a day!" Medium shot, quiet setting, minimal expression. Rain on glass.',
        ),
        ("« Bravo ! » crie le garçon.", "« Bravo ! » Plan moyen, cadre paisible, expression discrète."),
        ('A lighthouse.\n"Stay" says the girl', "A lighthouse.\nMedium shot, minimal expression, Stay"),
    ],
    ids=["list", "quotation", "guillemets", "opening quotation mark"],
)
def test_what_stands_between_two_sentences_stays(prompt: str, impersonal: str) -> None:
    said = {one.degree: one.prompt for one in REMAPPER.variants(prompt)}
    assert said[Degree.IMPERSONAL] == impersonal


@pytest.mark.parametrize(
    ("prompt", "all_of_it"),
    [
        ("A CEO speaking at a podium", "A professional at a podium, minimal expression"),
        ("A woman laughing at a table in a bar", "A woman at a table in a bar, minimal expression"),
        ("A woman smiling at the camera in a park", "A woman in a park, minimal expression"),
        ("Shot on iPhone 15 Pro: teenagers in Seoul", "Shot on phone: a small group in Seoul"),
        ("Talking head interview in a library", "A quiet moment in a library, minimal expression"),
        ("A teenager shoots the ball into the net", "Someone shoots the ball into the net"),
    ],
    ids=["podium", "table", "camera", "model number", "talking head", "ball"],
)
def test_what_is_left_of_a_sentence_is_still_one(prompt: str, all_of_it: str) -> None:
    said = {one.degree: one.prompt for one in REMAPPER.variants(prompt)}
    assert said[Degree.ALL] == all_of_it
