"""Sentences as people write them in briefs, and how each is said at its softest; those that stay as they are, too."""

from typing import NamedTuple


class Said(NamedTuple):
    """A prompt, its softest variant, and the categories for which it may be refused."""

    prompt: str
    softest: str
    categories: str


ENGLISH = [
    Said(
        "Close-up of CEO speaking with confidence",
        "Medium shot, professional setting, minimal expression",
        "framing profession speech",
    ),
    Said(
        "Extreme close-up of a woman crying in the rain",
        "Medium shot, minimal expression, in the rain",
        "framing emotion",
    ),
    Said("A man in tears on a bridge at night", "Medium shot, minimal expression, on a bridge at night", "emotion"),
    Said(
        "closeup of her face, golden light on the harbour",
        "Medium shot, minimal expression, golden light on the harbour",
        "framing face",
    ),
    Said(
        "Two founders laughing in an office",
        "Medium shot, professional setting, minimal expression, in an office",
        "profession emotion",
    ),
    Said("a crying baby in a crib", "Medium shot, minimal expression, in a crib", "age emotion"),
    Said(
        "The 8-year-old boy plays with a red kite on the beach",
        "A distant figure plays with a red kite on the beach",
        "age",
    ),
    Said("A politician waving from a stage", "Formal setting, a distant figure waving from a stage", "profession"),
    Said(
        "Elon Musk drinks a Coca-Cola in a Tesla on Golden Gate Bridge",
        "A distant figure drinks a soft drink in a car on Golden Gate Bridge",
        "name brand",
    ),
    Said(
        "A sad and tired old fisherman mends a net by the harbour.",
        "Medium shot, minimal expression, a distant figure mends a net by the harbour.",
        "age emotion",
    ),
    Said("An angry dog barks at a Nike shoe. Soft light.", "An angry dog barks at a shoe. Soft light.", "brand"),
    Said(
        "CEO Tilda Mbeki talks to camera about the new bottle",
        "Medium shot, professional setting, minimal expression, the new bottle",
        "name speech",
    ),
    Said(
        "A soldier aims a rifle at a wooden target",
        "A distant figure aims an object at a wooden target",
        "profession violence",
    ),
    Said("A topless dancer on a beach at noon", "Studio setting, on a beach at noon", "body profession"),
    Said(
        "Morning in a bakery. A close-up of Mrs. Alvarez smiling at her son, flour on the table.",
        "Morning in a bakery. Medium shot, minimal expression, flour on the table.",
        "framing name emotion age",
    ),
    Said(
        "Portrait of an elderly woman by a window, lace curtains",
        "Medium shot, by a window, lace curtains",
        "framing age",
    ),
]
ENGLISH_AS_IT_IS = [
    "close-up of a coffee cup",
    "Close-up of the face of a clock",
    "Close-up of a woman's hands kneading dough",
    "Extreme close-up of a cat's eyes in candlelight",
    "It is a crying shame that the garden is closed",
    "A lighthouse at dawn, waves breaking",
    "A runner on a forest path, seen from behind",
    "Hands typing on a keyboard",
    "Product on a marble table, soft light",
    "A cliff face above the sea; a surfacing whale",
    "Sadlers Wells theatre from the outside",
    "A baby-blue car on Victoria Street, man-made lake behind it",
    "A sad song plays in an empty bar, happy hour sign blinking",
    "A shooting star over a young tree, eye of the storm",
    "A bird singing on a branch, weeping willow by the river",
    "Two houses face the sea under an angry sky",
    "A woman walks her dog along the harbour",
    "Portrait orientation, a blood orange and a bread knife on a board",
    "A glass of water in London, Big Ben far away",
]

SOFTENED: dict[str, list[Said]] = {"en": ENGLISH}
AS_IT_IS: dict[str, list[str]] = {"en": ENGLISH_AS_IT_IS}
