"""The painted scenes of the sandbox's footage: each a function of time and place, seeded, in steady motion.

Imports numpy; loaded by the footage module only. Coordinates are in units of the picture's short side with the
origin in the middle, `u` to the right and `v` down; time `t` is in seconds. Arrays are float32 of shape (frames,
height, width), or of size 1 along an axis that does not matter; colours are RGB from 0 to 1 on a last axis.
"""

import hashlib
import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Array = np.ndarray
Paint = Callable[[Array, Array, Array], Array]
"""(t, u, v) -> picture of shape (frames, height, width, 3)."""

TILE = 512


class Palette(NamedTuple):
    """Five colours that go together."""

    top: Array
    low: Array
    accent: Array
    dark: Array
    light: Array


_PALETTES = {
    "dusk": "2b3a67 f4976c ffd166 1b1b3a fff1d0",
    "dawn": "6a8caf f7d6bf ff8fa3 2f3e46 fff8e7",
    "forest": "8fb8a8 e9f0d8 f2b544 1d3b2a f6f7e4",
    "ocean": "1d5c8a a9def9 f9c74f 06304a f1fbff",
    "neon": "12082e 5b1a8b 17e5d3 070414 ff5fa8",
    "steel": "39424e aab7c4 ff7a45 151a20 eef2f6",
    "rose": "7b3f61 f2c6c2 e63c6d 2b1422 fff0ec",
    "gold": "3a2a1a d9a45b ffcf70 17100a fff3da",
}
_PALETTE_WORDS = {
    "dusk": "sunset dusk evening desert cinematic",
    "dawn": "sunrise dawn morning soft baby",
    "forest": "forest green nature garden plant eco",
    "ocean": "ocean sea water beach surf blue lake",
    "neon": "neon night cyber tech ai data gaming club",
    "steel": "office professional corporate industrial car device ceo founder",
    "rose": "beauty perfume fashion skincare flower love",
    "gold": "coffee food kitchen luxury gold watch whisky",
}
_SCENE_WORDS = {
    "city": "city street traffic skyline urban downtown neon car cars drive night taxi building",
    "waves": "ocean sea wave waves beach surf surfer water lake river boat sail",
    "cup": "coffee tea cup mug kitchen breakfast steam cafe espresso soup",
    "product": "product bottle watch phone shoe sneaker perfume turntable device gadget skincare packaging can jar",
    "figure": "ceo founder person man woman people team presenter office speaker portrait dancer face customer",
    "landscape": "mountain mountains hill hills valley forest sunset sunrise nature landscape desert field aerial",
    "ribbons": "abstract data ai code flow cloud network software app logo music energy",
}
_UNNAMED_SCENES = ("landscape", "product", "city", "waves", "ribbons")


def scene_for(prompt: str, rng: np.random.Generator) -> Paint:
    """The scene that fits the words of a prompt, or a random one; details are drawn from the generator."""
    words = set(re.findall(r"[a-z]+", prompt.lower()))
    name = _by_words(_SCENE_WORDS, words) or _UNNAMED_SCENES[int(rng.integers(len(_UNNAMED_SCENES)))]
    palette = _by_words(_PALETTE_WORDS, words) or list(_PALETTES)[int(rng.integers(len(_PALETTES)))]
    return _SCENES[name](rng, _palette(palette, rng))


def generator(*parts: object) -> np.random.Generator:
    """A random generator seeded by these parts."""
    digest = hashlib.sha256("\n".join(map(str, parts)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def _by_words(table: dict[str, str], words: set[str]) -> str | None:
    found = {name: len(words & set(listed.split())) for name, listed in table.items()}
    best = max(found, key=lambda name: found[name])
    return best if found[best] else None


def _palette(name: str, rng: np.random.Generator) -> Palette:
    """A listed palette, shifted a little, so that no two prompts look the same."""
    colours = [_rgb(code) for code in _PALETTES[name].split()]
    tint = rng.normal(0, 0.035, 3).astype(np.float32)
    return Palette(*(np.clip(colour + tint, 0, 1) for colour in colours))


def _rgb(code: str) -> Array:
    return np.frombuffer(bytes.fromhex(code), np.uint8).astype(np.float32) / 255


# --- tools ---------------------------------------------------------------------------------------------------------


def _mix(below: Array, above: Array, share: Array) -> Array:
    return below + (above - below) * share[..., None]


def _sat(value: Array) -> Array:
    return np.clip(value, 0, 1)


def _edge(distance: Array, softness: float = 0.006) -> Array:
    """1 where the distance is positive, 0 where negative, soft between."""
    return _sat(distance / softness + 0.5)


def _curve(rng: np.random.Generator, octaves: int = 5) -> Callable[[Array], Array]:
    """A smooth random line of one variable, within about -1..1."""
    frequency = 2.0 ** np.arange(octaves) * rng.uniform(0.8, 1.25, octaves)
    phase, weight = rng.uniform(0, 2 * np.pi, octaves), 0.55 ** np.arange(octaves)

    def line(x: Array) -> Array:
        waves = (
            w * np.sin(x * np.float32(f) + np.float32(p)) for f, p, w in zip(frequency, phase, weight, strict=True)
        )
        return np.asarray(sum(waves) / np.float32(weight.sum() * 0.7), np.float32)

    return line


def cloud_tile(rng: np.random.Generator, slope: float = 1.4) -> Array:
    """A seamless square of cloudy noise, 0..1, detail falling off with frequency to the power of `slope`."""
    frequency = np.hypot(np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)[None])
    frequency[0, 0] = 1
    spectrum = np.fft.rfft2(rng.standard_normal((TILE, TILE))) / frequency**slope
    spectrum[0, 0] = 0
    noise = np.fft.irfft2(spectrum)
    return _sat(0.5 + noise / (4 * noise.std())).astype(np.float32)


def _sample(tile: Array, x: Array, y: Array) -> Array:
    """The tile at places in units of its side."""
    columns, rows = (x * TILE).astype(np.int32) % TILE, (y * TILE).astype(np.int32) % TILE
    return tile[rows, columns]


class Spot(NamedTuple):
    """A soft light that travels along a row: its place along u over time, its v, width, height and strength."""

    place: Callable[[Array], Array]
    v: float
    wide: float
    high: float
    gain: float


def _lights(t: Array, u: Array, v: Array, spots: list[Spot]) -> Array:
    """The sum of the spots. Each is a row times a column, so that all together are one matrix product a frame."""
    rows = [spot.gain * np.exp(-(((u - spot.place(t)) / spot.wide) ** 2)) for spot in spots]
    columns = [np.exp(-(((v - spot.v) / spot.high) ** 2))[0] for spot in spots]
    return np.matmul(np.concatenate(columns, axis=1), np.concatenate(rows, axis=1))


def _driving(start: float, speed: float, span: float) -> Callable[[Array], Array]:
    """A place along u that moves evenly and comes back in on the other side; `span` is the width of its way."""
    return lambda t: (start + speed * t + span / 2) % span - span / 2


def _sky(u: Array, v: Array, palette: Palette, horizon: float) -> Array:
    share = _sat((v + 0.9) / np.float32(horizon + 0.9)) ** np.float32(1.3)
    return _mix(palette.top, palette.low, share + 0 * u)


# --- scenes --------------------------------------------------------------------------------------------------------


def _landscape(rng: np.random.Generator, palette: Palette) -> Paint:
    horizon = float(rng.uniform(0.0, 0.15))
    sun_u, sun_rise, radius = (
        float(rng.uniform(-0.28, 0.28)),
        float(rng.uniform(0.015, 0.04)),
        rng.uniform(0.07, 0.12),
    )
    clouds, ground = cloud_tile(rng, 1.6), cloud_tile(rng, 1.25)
    ridges = [_curve(rng, 5 + layer) for layer in range(4)]
    drift = float(rng.choice([-1, 1])) * 0.05

    def paint(t: Array, u: Array, v: Array) -> Array:
        picture = _sky(u, v, palette, horizon) + 0 * t[..., None]
        distance = np.hypot(u - np.float32(sun_u), v - np.float32(horizon - 0.22) + np.float32(sun_rise) * t)
        cloud = _sample(clouds, u * 0.35 + drift * 0.6 * t, v * 0.8 + 0 * t)
        picture = _mix(picture, palette.light, _sat(cloud * 2.2 - 1.1) * 0.65)
        picture = _mix(picture, palette.accent, _sat(0.75 * np.exp(-distance * 4.5)))
        picture = _mix(picture, palette.light, _edge(np.float32(radius) - distance, 0.012))
        for layer, ridge in enumerate(ridges):
            near = (layer + 1) / 4
            along = u + np.float32(drift * 4 * near**2) * t
            crest = horizon + 0.5 * near**1.8 - 0.13 + (0.19 - 0.07 * near) * ridge(along * (2.0 + 1.2 * near))
            depth = v - crest
            colour = palette.low * (1 - near) ** 1.2 * 0.85 + palette.dark * (1 - (1 - near) ** 1.2)
            texture = _sample(ground, along * (0.7 + near), v * (1.2 + near)) - 0.5
            shade = texture * np.float32(0.15 + 0.2 * near) + 0.4 * np.exp(-np.maximum(depth, 0) * 12)
            hill = colour + shade[..., None] * (palette.accent * 0.6 + 0.15)
            picture = _mix(picture, hill, _edge(depth))
        return picture

    return paint


def _waves(rng: np.random.Generator, palette: Palette) -> Paint:
    horizon = float(rng.uniform(-0.3, -0.1))
    sun_u = float(rng.uniform(-0.25, 0.25))
    clouds, foam = cloud_tile(rng, 1.7), cloud_tile(rng, 1.1)
    swell = [(rng.uniform(1, 5), rng.uniform(4, 16), rng.uniform(1.5, 4), rng.uniform(0, 6)) for _ in range(5)]

    def paint(t: Array, u: Array, v: Array) -> Array:
        picture = _sky(u, v, palette, horizon) + 0 * t[..., None]
        cloud = _sample(clouds, u * 0.3 + 0.02 * t, v * 1.3 + 0 * t)
        picture = _mix(picture, palette.light, _sat(cloud * 2 - 0.9) * 0.6)
        distance = np.hypot(u - sun_u, v - horizon + 0.13)
        sun = _sat(0.7 * np.exp(-distance * 5) + _edge(0.075 - distance, 0.012))
        picture = _mix(picture, palette.accent * 0.4 + palette.light * 0.6, sun + 0 * t)
        below = np.maximum(v - horizon, 0)
        far = 0.35 / (below + 0.06)
        swells = [np.sin(u * far * a + far * b + t * w + p) for a, b, w, p in swell]
        height = np.asarray(sum(swells) / len(swell) ** 0.75)
        texture = _sample(foam, u * (0.9 + far * 0.3) + 0.05 * t, v * 0.9 + far * 0.5 + 0.16 * t)
        water = _mix(palette.dark, palette.top * 0.8 + palette.low * 0.2, _sat(0.45 + 0.35 * height + 0 * v))
        water = _mix(water, palette.low, _sat(np.exp(-below * 7) * 0.7 + 0 * t + 0 * u))
        glint = _sat(height * 0.9 + texture * 1.6 - 1.15) ** 2 * np.exp(-(((u - sun_u) / (0.1 + below * 0.5)) ** 2))
        water = _mix(water, palette.accent * 0.5 + palette.light * 0.5, _sat(glint * 2.5))
        crest = _sat((height - 0.55) * 2) * _sat(texture * 3 - 1.3) * _sat(below * 2.5)
        water = _mix(water, palette.light, _sat(crest))
        return _mix(picture, water, _edge(v - horizon, 0.008) + 0 * t)

    return paint


def _city(rng: np.random.Generator, palette: Palette) -> Paint:
    street = float(rng.uniform(0.42, 0.52))
    heights, lamps = rng.uniform(0, 1, (3, 256)).astype(np.float32), rng.uniform(0, 1, (256, 256)).astype(np.float32)
    stars, way = cloud_tile(rng, 0.05), float(rng.choice([-1, 1]))
    heads, tails = (
        [
            Spot(
                _driving(rng.uniform(0, 3), way * side * rng.uniform(0.5, 1.1), 3),
                street + 0.1 + 0.11 * lane + rng.uniform(-0.01, 0.01),
                wide,
                high,
                gain,
            )
            for lane in lanes
            for wide, high, gain in 5 * [(0.035, 0.022, 1.2), (0.16, 0.012, 0.5)]
        ]
        for side, lanes in ((1, (0, 2)), (-1, (1,)))
    )

    def paint(t: Array, u: Array, v: Array) -> Array:
        night = palette.top * 0.45
        picture = _mix(night, palette.low * 0.75, _sat((v + 0.8) / 1.3) ** 2 + 0 * u) + 0 * t[..., None]
        star = _sample(stars, u * 0.41 + 0.004 * t, v * 0.41 + 0 * t)
        twinkle = _sat((star - 0.93) * 14) * (0.55 + 0.45 * np.sin(t * 4 + u * 311 + v * 173))
        picture = picture + (twinkle * _sat(0.1 - v))[..., None]
        for layer in range(3):
            near = (layer + 1) / 3
            along = (u + 2) * (7 - 3.4 * near) + np.float32(way * 0.28 * near) * t
            block = np.floor(along).astype(np.int32) % 256
            roof = street - 0.12 - (0.75 - 0.35 * near) * heights[layer][block] * 0.95
            inside = along - np.floor(along)
            wall = _edge(v - roof) * (v < street) * (inside > 0.05)
            across, down = inside * (6 + 2 * layer), (v - roof) * (52 - 9 * layer)
            cell = lamps[(block * 8 + np.floor(across).astype(np.int32)) % 256, np.floor(down).astype(np.int32) % 256]
            pane = (
                ((across % 1) > 0.3) & ((down % 1) > 0.35) & (down > 1) & (cell > 0.52 + 0.1 * np.sin(t + cell * 90))
            )
            facade = palette.dark * (0.4 + 0.6 * near) + palette.low * (0.08 + 0.5 * (1 - near))
            lit = _mix(facade, palette.accent * 0.6 + palette.light * 0.4, pane * (0.35 + 0.65 * cell))
            picture = _mix(picture, lit, wall.astype(np.float32))
        road = palette.dark * 0.8 + 0.05
        picture = _mix(picture, road + palette.low * 0.12, _edge(v - street) + 0 * t + 0 * u)
        line = _edge(0.006 - np.abs(v - street - 0.155)) * (((u * 5 + way * 0.9 * t) % 1) < 0.5)
        picture = _mix(picture, palette.light * 0.8, line * 0.8)
        red = palette.accent * 0.4 + np.array([0.6, 0.05, 0.05], np.float32)
        picture = picture + _lights(t, u, v, heads)[..., None] * palette.light
        return picture + _lights(t, u, v, tails)[..., None] * red

    return paint


def _product(rng: np.random.Generator, palette: Palette) -> Paint:
    floor = float(rng.uniform(0.38, 0.46))
    shape = ("bottle", "can", "jar", "orb")[int(rng.integers(4))]
    turn, pieces = float(rng.choice([-1, 1]) * rng.uniform(0.9, 1.5)), int(rng.integers(3, 7))
    label, backdrop = cloud_tile(rng, 1.2), cloud_tile(rng, 2.0)

    def radius(v: Array) -> Array:
        up = floor - v
        if shape == "orb":
            return np.sqrt(np.maximum(0.27**2 - (up - 0.27) ** 2, 0))
        if shape == "can":
            return 0.19 * _edge(up) * _edge(0.6 - up, 0.01) - 0.02 * _sat((up - 0.54) * 20)
        if shape == "jar":
            return (0.25 - 0.05 * _sat((up - 0.34) * 25)) * _edge(up) * _edge(0.46 - up, 0.01)
        neck = _sat((up - 0.5) * 6)
        return (0.18 * (1 - neck**2 * 0.68)) * _edge(up) * _edge(0.86 - up, 0.01)

    def paint(t: Array, u: Array, v: Array) -> Array:
        lamp = 1.1 * np.sin(t * 1.1)
        glow = np.exp(-((u - 0.3 * lamp) ** 2 + (v + 0.05) ** 2) * 2.2)
        mottle = _sample(backdrop, u * 0.4 + 0.02 * t, v * 0.4 + 0 * t) - 0.5
        picture = _mix(palette.top * 0.55, palette.low, _sat(glow + mottle * 0.35))
        stage = _mix(palette.dark * 0.6 + palette.low * 0.25, palette.low * 0.9, _sat(glow * 0.8 + mottle * 0.2))
        picture = _mix(picture, stage, _edge(v - floor, 0.02) + 0 * t + 0 * u)
        shadow = np.exp(-(((u + 0.12 * lamp) / 0.32) ** 2) - ((v - floor - 0.015) / 0.05) ** 2)
        picture = picture * (1 - 0.65 * shadow)[..., None]
        mirrored = np.where(v > floor, 2 * floor - v, v)
        half = np.maximum(radius(mirrored), 1e-4)
        side = u / half
        facing = np.sqrt(np.maximum(1 - side**2, 0))
        angle = np.arcsin(np.clip(side, -1, 1)) + turn * t
        banded = _edge(mirrored - floor + 0.42, 0.004) * _edge(floor - 0.08 - mirrored, 0.004)
        graphic = _edge(np.sin(angle * pieces + mirrored * 14), 0.12) * banded
        body = _mix(palette.accent, palette.light, graphic * 0.9)
        cap = _edge(floor - 0.62 - mirrored, 0.004) if shape == "bottle" else _edge(floor - 0.4 - mirrored, 0.004)
        body = _mix(body, palette.dark, cap * (shape in ("bottle", "jar")) + 0 * angle)
        body = body * (0.85 + 0.3 * _sample(label, angle / 6.2832, mirrored))[..., None]
        light = np.sin(lamp) * side + np.cos(lamp) * facing
        body = body * (0.3 + 0.75 * _sat(light))[..., None] + (0.7 * _sat(light) ** 40)[..., None]
        body = body + (0.3 * np.exp(-(((np.abs(side) - 0.93) / 0.06) ** 2)))[..., None] * palette.low
        fade = np.where(v > floor, 0.32 * np.exp(-(v - floor) * 5), 1).astype(np.float32)
        return _mix(picture, body, _edge(half - np.abs(u)) * (half > 0.002) * fade)

    return paint


def _ribbons(rng: np.random.Generator, palette: Palette) -> Paint:
    haze = cloud_tile(rng, 1.6)
    bands = [
        (_curve(rng, 3), rng.uniform(-0.7, 0.7), rng.uniform(0.04, 0.13), rng.uniform(0.5, 1.3), rng.uniform(0, 1))
        for _ in range(7)
    ]
    motes = [
        Spot(_driving(rng.uniform(-0.7, 0.7), size, 1.4), rng.uniform(-0.85, 0.85), size * 0.4, size * 0.4, 0.5)
        for size in rng.uniform(0.02, 0.09, 12).tolist()
    ]

    def paint(t: Array, u: Array, v: Array) -> Array:
        cloud = _sample(haze, u * 0.5 + 0.04 * t, v * 0.5 - 0.03 * t)
        picture = _mix(palette.dark, palette.top, _sat(cloud * 1.1 - 0.1 + v * 0.25))
        for line, centre, width, speed, hue in bands:
            along = u * 2.1 + np.float32(speed) * t
            middle = np.float32(centre) + 0.16 * line(along)
            thick = np.float32(width) * (1 + 0.5 * np.sin(along * 1.7 + np.float32(hue) * 6))
            across = (v - middle) / thick
            colour = palette.accent * (1 - hue) + palette.low * hue
            fold = 0.55 + 0.45 * np.sin(across * 2.2 + along * 3)
            picture = _mix(picture, colour * 0.35, _sat(np.exp(-((across * 0.55) ** 2)) * 0.5))
            strand = _mix(colour * 0.45, colour * 0.6 + palette.light * 0.4, fold)
            strand = strand * (0.88 + 0.24 * np.sin(across * 26 + along * 5))[..., None]
            picture = _mix(picture, strand, _edge(1 - np.abs(across), 0.08) * 0.9)
        return picture + _lights(t, u, v, motes)[..., None] * palette.light

    return paint


def _figure(rng: np.random.Generator, palette: Palette) -> Paint:
    wall = cloud_tile(rng, 1.9)
    lights = [
        (rng.uniform(-0.7, 0.7), rng.uniform(-0.75, 0.35), rng.uniform(0.05, 0.13), rng.uniform(0.4, 1))
        for _ in range(9)
    ]
    sway, step = float(rng.uniform(0.9, 1.4)), float(rng.uniform(0.02, 0.04))
    skin = np.array([0.87, 0.67, 0.54], np.float32) * np.float32(rng.uniform(0.55, 1.1))

    def paint(t: Array, u: Array, v: Array) -> Array:
        room = _sample(wall, u * 0.4 + 0.03 * t, v * 0.4 + 0 * t)
        picture = _mix(palette.top * 0.8, palette.low, _sat(room * 1.2 - 0.1 - v * 0.2))
        for start, height, size, gain in lights:
            round_ = np.hypot(u - ((start + 0.06 * t + 0.8) % 1.6 - 0.8), v - height)
            picture = _mix(picture, palette.light, _edge(size - round_, 0.03) * np.float32(0.35 * gain))
        lean = step * np.sin(t * sway)
        head_u, head_v = u - lean * 1.6, v + 0.12 + 0.012 * np.sin(t * sway * 2)
        body_half = 0.34 * _sat((v - 0.1) * 4) ** 0.45
        torso = _edge(body_half - np.abs(u - lean)) * _edge(v - 0.1)
        cloth = palette.dark[None, None, None] * (1 + 0 * torso[..., None])
        fold = 0.2 * np.sin((u - lean) * 30 + v * 9) * _sat(v - 0.1) + (0.4 * _sample(wall, u - lean, v) - 0.1)
        cloth = cloth + (0.12 * _sat((u - lean) * 3 + 0.3) + 0.14 * fold)[..., None] * palette.low
        picture = _mix(picture, cloth, torso)
        lapel = _edge(0.09 - np.abs(u - lean) - (v - 0.12) * 0.35) * _edge(v - 0.12)
        picture = _mix(picture, palette.light * 0.92, lapel * torso)
        tone = (0.72 + 0.75 * (head_u + 0.1))[..., None] * skin
        neck = _edge(0.062 - np.abs(u - lean * 1.3)) * _edge(v + 0.1) * _edge(0.16 - v, 0.03)
        picture = _mix(picture, tone * 0.82, neck)
        hair = _edge(1 - np.hypot(head_u / 0.138, (head_v + 0.035) / 0.185), 0.04)
        picture = _mix(picture, palette.dark * 0.55, hair)
        face = _edge(1 - np.hypot(head_u / 0.115, (head_v - 0.012) / 0.158), 0.04)
        fringe = _edge(head_v + 0.085 - 0.03 * np.sin(head_u * 14), 0.02)
        return _mix(picture, tone, face * fringe)

    return paint


def _cup(rng: np.random.Generator, palette: Palette) -> Paint:
    wood, steam = cloud_tile(rng, 1.3), cloud_tile(rng, 1.5)
    table, half = float(rng.uniform(0.18, 0.26)), float(rng.uniform(0.2, 0.25))
    glaze = palette.light if rng.uniform() < 0.5 else palette.accent
    lights = [(rng.uniform(-0.7, 0.7), rng.uniform(-0.8, 0.0), rng.uniform(0.05, 0.14)) for _ in range(8)]

    def paint(t: Array, u: Array, v: Array) -> Array:
        picture = _mix(palette.dark, palette.top * 0.6 + palette.low * 0.4, _sat(0.75 - v * 0.5 + 0 * u + 0 * t))
        for start, height, size in lights:
            disc = np.hypot(u - ((start + 0.05 * t + 0.8) % 1.6 - 0.8), v - height)
            picture = _mix(picture, palette.accent, _edge(size - disc, 0.035) * np.float32(0.4))
        plank = _sample(wood, u * 0.25, v * 2.4) * 0.8 + 0.25
        sweep = 0.8 + 0.35 * np.sin(u * 3 - t * 1.6)
        desk = (palette.low * 0.35 + palette.dark * 0.65) * (plank * sweep)[..., None]
        picture = _mix(picture, desk, _edge(v - table + 0.05, 0.01) + 0 * t + 0 * u)
        foot, rim = table + 0.3, table - 0.08
        shadow = np.exp(-(((u - 0.06) / (half * 1.5)) ** 2) - ((v - foot) / 0.05) ** 2)
        picture = picture * (1 - 0.6 * shadow + 0 * t)[..., None]
        ring = np.abs(np.hypot(u - half - 0.02, (v - rim - 0.15) * 0.9) - 0.085)
        wide = half * (1 - 0.3 * _sat((v - rim) / (foot - rim)) ** 2.5)
        bottom = foot + 0.03 * np.sqrt(np.maximum(1 - (u / half) ** 2, 0))
        light = _sat(0.55 - u / half * 0.45 + 0.18 * np.sin(t * 1.4 - u * 9))
        ware = glaze * (0.35 + 0.75 * light)[..., None]
        picture = _mix(picture, ware * 0.85, _edge(0.02 - ring) + 0 * t)
        picture = _mix(picture, ware, _edge(wide - np.abs(u)) * _edge(v - rim) * _edge(bottom - v) + 0 * t)
        opening = np.hypot(u / half, (v - rim) / 0.045)
        picture = _mix(picture, glaze * 0.95, _edge(1 - opening, 0.03) + 0 * t)
        swirl = 0.5 + 0.5 * np.sin(opening * 9 - t * 2.5 + np.arctan2(v - rim, u) * 2)
        brew = _mix(np.array([0.2, 0.1, 0.05], np.float32), np.array([0.78, 0.56, 0.36], np.float32), swirl)
        picture = _mix(picture, brew, _edge(0.9 - opening, 0.03))
        rise = np.maximum(rim - v, 0)
        wander = u + 0.07 * np.sin(rise * 7 - t * 2.2) * _sat(rise * 3)
        mist = _sample(steam, wander * 1.1 + 0 * t, v * 0.5 + 0.22 * t)
        plume = np.exp(-((wander / (0.1 + 0.22 * rise)) ** 2)) * _sat(rise * 9) * _sat(1.1 - rise * 1.5)
        return _mix(picture, palette.light, _sat((mist * 2.4 - 0.75) * plume) * 0.75)

    return paint


_SCENES: dict[str, Callable[[np.random.Generator, Palette], Paint]] = {
    "landscape": _landscape,
    "waves": _waves,
    "city": _city,
    "product": _product,
    "ribbons": _ribbons,
    "figure": _figure,
    "cup": _cup,
}
