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


SPANISH = [
    Said(
        "Primer plano del director general hablando con confianza",
        "Plano medio, ambiente profesional, expresión mínima",
        "framing profession speech",
    ),
    Said(
        "Primerísimo primer plano de una mujer llorando bajo la lluvia",
        "Plano medio, expresión mínima, bajo la lluvia",
        "framing emotion",
    ),
    Said(
        "Un niño de 8 años juega con una cometa roja en la playa",
        "Un personaje lejano juega con una cometa roja en la playa",
        "age",
    ),
    Said("Dos policías sonrientes en un parque", "Plano medio, expresión mínima, en un parque", "profession emotion"),
    Said(
        "Un hombre triste camina por el puente de noche",
        "Plano medio, expresión mínima, un personaje lejano camina por el puente de noche",
        "emotion",
    ),
    Said(
        "El presidente da un discurso en la plaza, banderas al viento",
        "Plano medio, ambiente formal, expresión mínima, en la plaza, banderas al viento",
        "profession speech",
    ),
    Said("Retrato de una anciana junto a la ventana", "Plano medio, junto a la ventana", "framing age"),
    Said(
        "Shakira canta en el estadio con una lata de Coca-Cola",
        "Plano medio, expresión mínima, en el estadio con una lata de refresco",
        "name speech brand",
    ),
    Said("Zapatillas Nike sobre el asfalto mojado", "Zapatillas sobre el asfalto mojado", "brand"),
    Said(
        "La señora García ríe con lágrimas en los ojos, al fondo el mar",
        "Plano medio, expresión mínima, al fondo el mar",
        "name emotion",
    ),
    Said(
        "El rostro arrugado de un pescador a la luz de una vela",
        "Plano medio, expresión mínima, a la luz de una vela",
        "face profession",
    ),
    Said(
        "Una bailarina en topless sobre un escenario vacío",
        "Ambiente de estudio, sobre un escenario vacío",
        "profession body",
    ),
    Said(
        "Una enfermera habla con su paciente en el pasillo del hospital",
        "Plano medio, ambiente clínico, expresión mínima, con una silueta lejana en el pasillo del hospital",
        "profession speech",
    ),
    Said(
        "Lucía Fernández prepara una tortilla en una cocina blanca",
        "Una silueta lejana prepara una tortilla en una cocina blanca",
        "name",
    ),
    Said(
        "Un soldado herido con una pistola detrás de un muro",
        "Un personaje lejano con una pieza detrás de un muro",
        "profession violence",
    ),
    Said(
        "La niña que llora abraza un oso de peluche",
        "Plano medio, expresión mínima, una silueta lejana abraza un oso de peluche",
        "age emotion",
    ),
]
SPANISH_AS_IT_IS = [
    "Primer plano de una taza de café",
    "La cara de un gato negro sobre el tejado",
    "Primer plano de las manos de una mujer amasando pan",
    "Un sauce llorón junto al río, estrella fugaz",
    "El mar furioso golpea el acantilado",
    "Un perro ladra a un pájaro que canta",
    "Una mujer pasea por la playa al amanecer",
    "Cuchillo de pan y naranja sanguina sobre una tabla",
    "Una canción triste suena en el bar vacío, cara norte de la montaña al fondo",
]

PORTUGUESE = [
    Said(
        "Close-up da CEO falando com confiança",
        "Plano médio, ambiente profissional, expressão mínima",
        "framing profession speech",
    ),
    Said(
        "Close de uma criança chorando na chuva, ao fundo a igreja",
        "Plano médio, expressão mínima, na chuva, ao fundo a igreja",
        "framing age emotion",
    ),
    Said(
        "O rosto do pescador iluminado por uma vela",
        "Plano médio, expressão mínima, um vulto distante iluminado por uma vela",
        "face profession",
    ),
    Said(
        "Uma menina sorri no jardim da avó",
        "Plano médio, expressão mínima, no jardim de uma silhueta distante",
        "age emotion",
    ),
    Said(
        "O presidente discursa na praça",
        "Plano médio, ambiente formal, expressão mínima, na praça",
        "profession speech",
    ),
    Said(
        "Um homem conversa com a vizinha na varanda",
        "Plano médio, expressão mínima, com uma silhueta distante na varanda",
        "speech",
    ),
    Said(
        "Um menino de 6 anos solta uma pipa amarela na praia",
        "Um vulto distante solta uma pipa amarela na praia",
        "age",
    ),
    Said("Retrato de uma senhora idosa perto da janela", "Plano médio, perto da janela", "framing age"),
    Said(
        "João Silva abre uma lata de Pepsi no carro",
        "Uma silhueta distante abre uma lata de refrigerante no carro",
        "name brand",
    ),
    Said(
        "Dois policiais armados numa rua de Lisboa", "Uns vultos distantes numa rua de Lisboa", "profession violence"
    ),
    Said("Uma dançarina seminua num palco vazio", "Ambiente de estúdio, num palco vazio", "profession body"),
    Said(
        "A médica triste olha pela janela do hospital",
        "Plano médio, ambiente clínico, expressão mínima, uma silhueta distante olha pela janela do hospital",
        "profession emotion",
    ),
    Said(
        "Cristiano Ronaldo chuta a bola num campo molhado",
        "Uma silhueta distante chuta a bola num campo molhado",
        "name",
    ),
    Said("Tênis Adidas sobre o asfalto molhado", "Tênis sobre o asfalto molhado", "brand"),
    Said(
        "Uma mulher com lágrimas nos olhos segura uma carta",
        "Plano médio, expressão mínima, uma silhueta distante segura uma carta",
        "emotion",
    ),
]
PORTUGUESE_AS_IT_IS = [
    "Close-up de uma xícara de café na mesa",
    "Primeiro plano das mãos de uma mulher amassando pão",
    "Os olhos de um gato preto no escuro",
    "Um pássaro canta num galho, salgueiro-chorão junto ao rio",
    "Uma mulher passeia com o cachorro na praia",
    "Faca de pão e laranja sanguínea sobre uma tábua",
    "O mar furioso bate no penhasco",
    "Uma canção triste toca no bar vazio",
]

GERMAN = [
    Said(
        "Nahaufnahme des Geschäftsführers, der selbstbewusst spricht",
        "Halbtotale, professionelle Umgebung, zurückhaltende Stimmung",
        "framing profession emotion speech",
    ),
    Said(
        "Nahaufnahme einer weinenden Frau im Regen",
        "Halbtotale, zurückhaltende Stimmung, im Regen",
        "framing emotion",
    ),
    Said(
        "Ein achtjähriger Junge spielt mit einem roten Drachen am Strand",
        "Eine ferne Gestalt spielt mit einem roten Drachen am Strand",
        "age",
    ),
    Said(
        "Das Gesicht einer alten Frau im Kerzenlicht, Regen am Fenster",
        "Halbtotale, zurückhaltende Stimmung, im Kerzenlicht, Regen am Fenster",
        "face age",
    ),
    Said(
        "Zwei lachende Polizisten auf dem Marktplatz",
        "Halbtotale, zurückhaltende Stimmung, auf dem Marktplatz",
        "profession emotion",
    ),
    Said(
        "Ein Kindergesicht hinter einer Fensterscheibe",
        "Halbtotale, zurückhaltende Stimmung, hinter einer Fensterscheibe",
        "face",
    ),
    Said(
        "Frau Schneider hält eine Rede im Rathaus",
        "Halbtotale, zurückhaltende Stimmung, im Rathaus",
        "profession speech",
    ),
    Said(
        "Der Bundeskanzler winkt aus einem Mercedes",
        "Förmliche Umgebung, eine ferne Gestalt winkt aus einem Auto",
        "profession brand",
    ),
    Said(
        "Ein Soldat mit einem Gewehr vor einer Mauer",
        "Eine ferne Gestalt mit einer Requisite vor einer Mauer",
        "profession violence",
    ),
    Said(
        "Porträt eines Fischers mit Mütze, Hafen im Hintergrund",
        "Halbtotale, mit Mütze, Hafen im Hintergrund",
        "framing profession",
    ),
    Said("Ein Mann küsst seine Freundin am Bahnhof", "Eine ferne Gestalt und eine ferne Gestalt am Bahnhof", "body"),
    Said(
        "Sabine Vogt trinkt eine Dose Pepsi auf dem Balkon",
        "Eine ferne Gestalt trinkt eine Dose Limonade auf dem Balkon",
        "name brand",
    ),
    Said(
        "Ein kleines Mädchen weint vor Freude unter dem Weihnachtsbaum",
        "Halbtotale, zurückhaltende Stimmung, unter dem Weihnachtsbaum",
        "age emotion",
    ),
    Said(
        "Die Krankenschwester spricht mit einem Patienten im Flur",
        "Halbtotale, klinische Umgebung, zurückhaltende Stimmung, mit einer fernen Gestalt im Flur",
        "profession speech",
    ),
    Said("Nackte Frau am See bei Sonnenaufgang", "Eine ferne Gestalt am See bei Sonnenaufgang", "body"),
    Said(
        "Ein wütender Mann steht vor einer verschlossenen Tür",
        "Halbtotale, zurückhaltende Stimmung, eine ferne Gestalt steht vor einer verschlossenen Tür",
        "emotion",
    ),
]
GERMAN_AS_IT_IS = [
    "Nahaufnahme einer Kaffeetasse auf dem Tisch",
    "Das Kinderzimmer am Morgen, Sonne auf dem Boden",
    "Ein Schneemann im Garten, Trauerweide am Fluss",
    "Die Augen einer Katze im Dunkeln",
    "Ein Vogel singt auf einem Ast",
    "Das Zifferblatt der Uhr am Turm",
    "Eine Frau geht mit ihrem Hund am Hafen spazieren",
    "Ein trauriges Lied in einer leeren Bar, Sternschnuppe am Himmel",
    "Brotmesser und Blutorange auf einem Brett",
    "Nahaufnahme der Hände einer Frau, die Teig knetet",
]

FRENCH = [
    Said(
        "Gros plan d'un PDG qui parle avec assurance",
        "Plan moyen, cadre professionnel, expression discrète",
        "framing profession speech",
    ),
    Said(
        "Très gros plan sur le visage d'une femme en larmes sous la pluie",
        "Plan moyen, expression discrète, sous la pluie",
        "framing face emotion",
    ),
    Said(
        "Un garçon de 8 ans joue avec un cerf-volant rouge sur la plage",
        "Un personnage lointain joue avec un cerf-volant rouge sur la plage",
        "age",
    ),
    Said(
        "Deux policiers souriants dans un parc", "Plan moyen, expression discrète, dans un parc", "profession emotion"
    ),
    Said(
        "Le président prononce un discours sur la place, drapeaux au vent",
        "Plan moyen, cadre officiel, expression discrète, sur la place, drapeaux au vent",
        "profession speech",
    ),
    Said(
        "Un vieux pêcheur triste répare un filet près du port",
        "Plan moyen, expression discrète, un personnage lointain répare un filet près du port",
        "age emotion",
    ),
    Said(
        "Une jeune fille embrasse son copain à la gare",
        "Une silhouette lointaine et une silhouette lointaine à la gare",
        "age body",
    ),
    Said(
        "Le soldat tient un fusil devant un mur",
        "Un personnage lointain tient un objet devant un mur",
        "profession violence",
    ),
    Said("Portrait d'une vieille dame près de la fenêtre", "Plan moyen, près de la fenêtre", "framing age"),
    Said(
        "Marie Dupont rit avec l'enfant du boulanger",
        "Plan moyen, cadre paisible, expression discrète",
        "name emotion age profession",
    ),
    Said("L'enfant dort dans un lit de bébé", "Une silhouette lointaine dort dans un lit de bébé", "age"),
    Said(
        "Emmanuel Macron boit un Coca-Cola dans une Renault",
        "Une silhouette lointaine boit un soda dans une voiture",
        "name brand",
    ),
    Said(
        "Une infirmière explique le traitement à son patient",
        "Plan moyen, cadre clinique, expression discrète, le traitement à une silhouette lointaine",
        "profession speech",
    ),
    Said("Une danseuse nue sur une scène vide", "Cadre de studio, sur une scène vide", "profession body"),
    Said(
        "Un homme en colère claque la porte de la cuisine",
        "Plan moyen, expression discrète, un personnage lointain claque la porte de la cuisine",
        "emotion",
    ),
]
FRENCH_AS_IT_IS = [
    "Gros plan d'une tasse de café sur la table",
    "Les yeux d'un chat dans le noir",
    "Un saule pleureur au bord de la rivière, étoile filante",
    "Gros plan des mains d'une femme qui pétrit du pain",
    "Une femme promène son chien sur le port",
    "Un oiseau chante sur une branche",
    "Une chanson triste dans un bar vide, nature morte au mur",
    "Couteau à pain et orange sanguine sur une planche",
    "Le cadran de l'horloge, face nord de la montagne",
]

CHINESE = [
    Said("CEO自信地讲话的特写", "中景镜头，专业环境，氛围平静", "profession emotion speech framing"),
    Said("一个女人在雨中哭泣的特写", "中景镜头，氛围平静，在雨中", "emotion framing"),
    Said("一个八岁的男孩在沙滩上放红色风筝", "远处的身影在沙滩上放红色风筝", "age"),
    Said("总统在广场上发表演讲，旗帜飘扬", "中景镜头，正式场合，氛围平静，在广场上，旗帜飘扬", "profession speech"),
    Said("老人的脸，烛光，窗外下雨", "中景镜头，氛围平静，烛光，窗外下雨", "age face"),
    Said("两名警察在公园里微笑", "中景镜头，氛围平静，在公园里", "profession emotion"),
    Said(
        "特写：一位护士流着泪看着窗外",
        "中景镜头，诊疗环境，氛围平静，远处的身影看着窗外",
        "framing profession emotion",
    ),
    Said("马斯克在特斯拉里喝可口可乐", "远处的身影在汽车里喝饮料", "name brand"),
    Said("士兵拿着步枪站在墙前", "远处的身影拿着一件道具站在墙前", "profession violence"),
    Said("张先生在办公室里打电话", "远处的身影在办公室里打电话", "name"),
    Said("愤怒的老板在会议室里大喊大叫", "中景镜头，专业环境，氛围平静，在会议室里", "profession emotion speech"),
    Said("一个小女孩抱着玩具熊，满脸泪水", "中景镜头，氛围平静，远处的身影抱着玩具熊", "age emotion"),
    Said("性感的模特站在泳池边", "录影棚环境，远处的身影站在泳池边", "profession body"),
    Said("女歌手在舞台上唱歌，灯光闪烁", "中景镜头，录影棚环境，氛围平静，在舞台上，灯光闪烁", "profession speech"),
    Said("年轻的情侣在桥上接吻", "远处的身影在桥上", "age body"),
    Said("爷爷的眼睛望着远方的山", "中景镜头，氛围平静，远处的身影的剪影望着远方的山", "age face"),
]
CHINESE_AS_IT_IS = [
    "一杯咖啡的特写，桌面上有阳光",
    "女人的手的特写，正在揉面团",
    "猫的眼睛在黑暗中发光",
    "时钟的表面，机器人在工厂里工作",
    "面包和面条放在桌子上",
    "流星划过夜空，老街上的灯笼",
    "一个女人在海边散步",
    "小鸟在树枝上唱歌，柳树垂到河面",
    "水果刀和血橙放在木板上",
]

SOFTENED: dict[str, list[Said]] = {
    "en": ENGLISH,
    "es": SPANISH,
    "pt": PORTUGUESE,
    "de": GERMAN,
    "fr": FRENCH,
    "zh": CHINESE,
}
AS_IT_IS: dict[str, list[str]] = {
    "en": ENGLISH_AS_IT_IS,
    "es": SPANISH_AS_IT_IS,
    "pt": PORTUGUESE_AS_IT_IS,
    "de": GERMAN_AS_IT_IS,
    "fr": FRENCH_AS_IT_IS,
    "zh": CHINESE_AS_IT_IS,
}
