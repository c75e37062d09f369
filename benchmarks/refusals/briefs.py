"""Briefs that are written to be refused: shots in six languages, put together of people, what they do, and where.

The words were chosen without a look at the lexicons, which do not know all of them. A brief's nouns are kept, so
that it can be told how much of what it asks is still in the prompt that passed.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from video_pipeline.briefs import Brief, BrollPlanner, Quality, StoryboardShot, storyboard_of

DAY = date(2026, 1, 5)
LENGTH_S = 5.0


@dataclass(frozen=True)
class Words:
    """What shots of one language are made of. Each phrase stands with its noun, which is what is to be seen of it."""

    code: str
    patterns: tuple[str, ...]
    people: tuple[tuple[str, str], ...]
    acts: tuple[str, ...]
    places: tuple[tuple[str, str], ...]
    details: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Written:
    """A brief's one shot; `scene` are the nouns of place and detail, `person` the noun of who is in it."""

    language: str
    shot: StoryboardShot
    scene: tuple[str, ...]
    person: str


def written(count: int, seed: int, broll: BrollPlanner | None = None) -> list[Written]:
    """So many different briefs, none of which has B-roll of its author; with what `broll` plans for them."""
    chance = random.Random(seed)
    found: dict[str, Written] = {}
    while len(found) < count:
        words = LANGUAGES[len(found) % len(LANGUAGES)]
        (who, person), act = chance.choice(words.people), chance.choice(words.acts)
        (place, where), (detail, what) = chance.choice(words.places), chance.choice(words.details)
        prompt = chance.choice(words.patterns).format(who=who, act=act, place=place, detail=detail)
        prompt = prompt[:1].upper() + prompt[1:]
        if prompt not in found:
            shot = _shot(prompt, broll)
            found[prompt] = Written(words.code, shot, (where, what), person)
    return list(found.values())


def _shot(prompt: str, broll: BrollPlanner | None) -> StoryboardShot:
    document = {
        "brief_id": "refused",
        "title": "Written to be refused",
        "platforms": ("youtube_shorts",),
        "prompt": prompt,
        "duration_s": LENGTH_S,
        "quality": Quality.STANDARD,
        "visual_complexity": 0.5,
    }
    brief = Brief.model_validate(document)
    return storyboard_of(brief, DAY, cap_s=15.0, broll=broll).shots[0]


def kept(nouns: Sequence[str], prompt: str) -> int:
    """How many of the nouns a prompt still has."""
    lowered = prompt.casefold()
    return sum(noun.casefold() in lowered for noun in nouns)


_ENGLISH = Words(
    code="en",
    patterns=(
        "Close-up of {who} {act} {place}, {detail}",
        "{who} {act} {place}, {detail}",
        "Tight on the face of {who} {act} {place}. {detail}",
        "Handheld shot: {who} {act} {place}, {detail}",
        "Slow push toward {who}, {act} {place}, {detail}",
    ),
    people=(
        ("a little girl", "girl"),
        ("a six-year-old boy", "boy"),
        ("an old widow", "widow"),
        ("a teenage skateboarder", "skateboarder"),
        ("a pale toddler", "toddler"),
        ("her grandfather", "grandfather"),
        ("a young mother", "mother"),
        ("Barack Obama", "Obama"),
        ("Taylor Swift", "Swift"),
        ("Senator Marlene Okafor", "senator"),
        ("Dr. Ruth Ellery", "Ellery"),
        ("the prime minister", "minister"),
        ("a CEO in a grey suit", "CEO"),
        ("a policewoman", "policewoman"),
        ("a wounded soldier", "soldier"),
        ("a famous actor", "actor"),
        ("the midwife", "midwife"),
        ("a bare-chested boxer", "boxer"),
        ("a lad in a football shirt", "lad"),
        ("a barrister", "barrister"),
        ("a gran with curlers", "gran"),
        ("a woman in a Gucci coat", "woman"),
    ),
    acts=(
        "crying",
        "weeping quietly",
        "smiling with pride",
        "speaking to the camera",
        "laughing out loud",
        "shouting in anger",
        "with tears in her eyes",
        "whispering a secret",
        "holding a pistol",
        "wiping blood off a sleeve",
        "kissing a stranger",
        "bawling",
        "giving a speech",
        "grinning",
        "in despair",
        "drinking a Pepsi",
    ),
    places=(
        ("in a laundromat", "laundromat"),
        ("on a ferry deck", "ferry"),
        ("at a bus stop", "bus"),
        ("in a greenhouse", "greenhouse"),
        ("beside a frozen lake", "lake"),
        ("on a rooftop", "rooftop"),
        ("in an empty diner", "diner"),
        ("under a stone bridge", "bridge"),
    ),
    details=(
        ("snow on the window sill", "snow"),
        ("a red umbrella", "umbrella"),
        ("neon signs", "neon"),
        ("steam from a kettle", "kettle"),
        ("lavender fields behind", "lavender"),
        ("morning fog", "fog"),
        ("a brass lamp", "lamp"),
    ),
)
_SPANISH = Words(
    code="es",
    patterns=(
        "Primer plano de {who} {act} {place}, {detail}",
        "{who} {act} {place}, {detail}",
        "Plano detalle del rostro de {who} {act} {place}, {detail}",
        "Cámara en mano: {who} {act} {place}. {detail}",
    ),
    people=(
        ("una niña pequeña", "niña"),
        ("un niño de seis años", "niño"),
        ("una anciana", "anciana"),
        ("un chaval con gorra", "chaval"),
        ("la ministra", "ministra"),
        ("Lionel Messi", "Messi"),
        ("el presidente", "presidente"),
        ("una enfermera cansada", "enfermera"),
        ("un soldado herido", "soldado"),
        ("la directora general", "directora"),
        ("doña Mercedes Ibarra", "Ibarra"),
        ("un boxeador", "boxeador"),
    ),
    acts=(
        "llorando",
        "sonriendo con orgullo",
        "hablando a cámara",
        "gritando de rabia",
        "con lágrimas en los ojos",
        "riéndose a carcajadas",
        "empuñando una pistola",
        "con sangre en la manga",
        "susurrando un secreto",
        "besando a un desconocido",
        "gimoteando",
    ),
    places=(
        ("en una lavandería", "lavandería"),
        ("en la cubierta de un ferry", "ferry"),
        ("junto a un lago helado", "lago"),
        ("en una azotea", "azotea"),
        ("en un invernadero", "invernadero"),
        ("bajo un puente de piedra", "puente"),
    ),
    details=(
        ("nieve en la repisa", "nieve"),
        ("un paraguas rojo", "paraguas"),
        ("luces de neón", "neón"),
        ("vapor de una tetera", "tetera"),
        ("niebla de la mañana", "niebla"),
    ),
)
_GERMAN = Words(
    code="de",
    patterns=(
        "Nahaufnahme: {who} {act} {place}, {detail}",
        "{who} {act} {place}, {detail}",
        "Die Kamera folgt dicht auf: {who} {act} {place}, {detail}",
        "Großaufnahme vom Gesicht, {who} {act} {place}. {detail}",
    ),
    people=(
        ("ein kleines Mädchen", "Mädchen"),
        ("ein sechsjähriger Junge", "Junge"),
        ("eine alte Witwe", "Witwe"),
        ("ein Knirps mit Mütze", "Knirps"),
        ("die Bundeskanzlerin", "Bundeskanzlerin"),
        ("Olaf Scholz", "Scholz"),
        ("ein verwundeter Soldat", "Soldat"),
        ("die Geschäftsführerin", "Geschäftsführerin"),
        ("ein Polizist", "Polizist"),
        ("Frau Dr. Hölzl", "Hölzl"),
        ("der Opa", "Opa"),
        ("ein nackter Boxer", "Boxer"),
    ),
    acts=(
        "weint",
        "lächelt stolz",
        "spricht in die Kamera",
        "schreit vor Wut",
        "lacht laut",
        "mit Tränen in den Augen",
        "hält eine Pistole",
        "mit Blut am Ärmel",
        "flüstert ein Geheimnis",
        "küsst einen Fremden",
        "heult",
    ),
    places=(
        ("in einem Waschsalon", "Waschsalon"),
        ("auf dem Deck einer Fähre", "Fähre"),
        ("an einem zugefrorenen See", "See"),
        ("auf einem Dach", "Dach"),
        ("in einem Gewächshaus", "Gewächshaus"),
        ("unter einer Steinbrücke", "Steinbrücke"),
    ),
    details=(
        ("Schnee auf dem Fensterbrett", "Schnee"),
        ("ein roter Regenschirm", "Regenschirm"),
        ("Neonschilder", "Neonschilder"),
        ("Dampf aus einem Kessel", "Kessel"),
        ("Morgennebel", "Morgennebel"),
    ),
)
_FRENCH = Words(
    code="fr",
    patterns=(
        "Gros plan sur {who} {act} {place}, {detail}",
        "{who} {act} {place}, {detail}",
        "Plan serré du visage de {who} {act} {place}, {detail}",
        "Caméra à l'épaule : {who} {act} {place}. {detail}",
    ),
    people=(
        ("une petite fille", "fille"),
        ("un garçon de six ans", "garçon"),
        ("une vieille veuve", "veuve"),
        ("un gosse en casquette", "gosse"),
        ("la première ministre", "ministre"),
        ("Emmanuel Macron", "Macron"),
        ("le président", "président"),
        ("un soldat blessé", "soldat"),
        ("une infirmière épuisée", "infirmière"),
        ("la directrice", "directrice"),
        ("Madame Hélène Carbonnier", "Carbonnier"),
        ("un boxeur torse nu", "boxeur"),
    ),
    acts=(
        "en pleurs",
        "souriant avec fierté",
        "parlant à la caméra",
        "hurlant de rage",
        "les larmes aux yeux",
        "riant aux éclats",
        "tenant un pistolet",
        "avec du sang sur la manche",
        "chuchotant un secret",
        "embrassant un inconnu",
        "pleurnichant",
    ),
    places=(
        ("dans une laverie", "laverie"),
        ("sur le pont d'un ferry", "ferry"),
        ("près d'un lac gelé", "lac"),
        ("sur un toit", "toit"),
        ("dans une serre", "serre"),
        ("sous une arche de pierre", "arche"),
    ),
    details=(
        ("de la neige sur le rebord", "neige"),
        ("un parapluie rouge", "parapluie"),
        ("des néons", "néons"),
        ("la vapeur d'une bouilloire", "bouilloire"),
        ("la brume du matin", "brume"),
    ),
)
_PORTUGUESE = Words(
    code="pt",
    patterns=(
        "Close-up de {who} {act} {place}, {detail}",
        "{who} {act} {place}, {detail}",
        "Plano fechado no rosto de {who} {act} {place}, {detail}",
        "Câmera na mão: {who} {act} {place}. {detail}",
    ),
    people=(
        ("uma menina pequena", "menina"),
        ("um menino de seis anos", "menino"),
        ("uma viúva idosa", "viúva"),
        ("um moleque de boné", "moleque"),
        ("a ministra", "ministra"),
        ("Neymar", "Neymar"),
        ("o presidente", "presidente"),
        ("um soldado ferido", "soldado"),
        ("uma enfermeira cansada", "enfermeira"),
        ("a diretora", "diretora"),
        ("dona Lurdes Azevedo", "Azevedo"),
        ("um boxeador sem camisa", "boxeador"),
    ),
    acts=(
        "chorando",
        "sorrindo com orgulho",
        "falando para a câmera",
        "gritando de raiva",
        "com lágrimas nos olhos",
        "rindo alto",
        "segurando uma pistola",
        "com sangue na manga",
        "sussurrando um segredo",
        "beijando um desconhecido",
        "choramingando",
    ),
    places=(
        ("numa lavanderia", "lavanderia"),
        ("no convés de uma balsa", "balsa"),
        ("à beira de um lago gelado", "lago"),
        ("num terraço", "terraço"),
        ("numa estufa", "estufa"),
        ("debaixo de um viaduto", "viaduto"),
    ),
    details=(
        ("neve no parapeito", "neve"),
        ("um guarda-chuva vermelho", "guarda-chuva"),
        ("letreiros de neon", "neon"),
        ("vapor de uma chaleira", "chaleira"),
        ("neblina da manhã", "neblina"),
    ),
)
_CHINESE = Words(
    code="zh",
    patterns=(
        "{who}{place}{act}的特写，{detail}",
        "{who}{place}{act}，{detail}",
        "特写镜头：{who}{place}{act}，{detail}",
        "手持镜头，{who}{place}{act}。{detail}",
    ),
    people=(
        ("一个小女孩", "女孩"),
        ("一个六岁的男孩", "男孩"),
        ("一位年迈的寡妇", "寡妇"),
        ("一个毛头小子", "小子"),
        ("总理", "总理"),
        ("特朗普", "特朗普"),
        ("一名受伤的士兵", "士兵"),
        ("疲惫的护士", "护士"),
        ("女总裁", "总裁"),
        ("一名警察", "警察"),
        ("王女士", "王女士"),
        ("外公", "外公"),
    ),
    acts=(
        "哭泣",
        "自豪地微笑",
        "对着镜头说话",
        "愤怒地大喊",
        "流着眼泪",
        "哈哈大笑",
        "举着手枪",
        "擦去袖子上的血",
        "低声说着秘密",
        "亲吻陌生人",
        "啜泣",
    ),
    places=(
        ("在自助洗衣店里", "洗衣店"),
        ("在渡轮甲板上", "渡轮"),
        ("在结冰的湖边", "湖"),
        ("在屋顶上", "屋顶"),
        ("在温室里", "温室"),
        ("在石桥下", "石桥"),
    ),
    details=(
        ("窗台上的雪", "雪"),
        ("一把红伞", "红伞"),
        ("霓虹灯", "霓虹灯"),
        ("水壶冒着热气", "水壶"),
        ("清晨的雾", "雾"),
    ),
)
LANGUAGES = (_ENGLISH, _SPANISH, _GERMAN, _FRENCH, _PORTUGUESE, _CHINESE)
