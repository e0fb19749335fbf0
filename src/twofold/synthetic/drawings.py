"""Synthetic pictures: a portrait, a landscape, two people with a heart, two players with a ball, one colour.

Colours, positions, sizes and light change from picture to picture, so that a model must generalise to new
ones. It does not know posts.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable
from random import Random

import numpy as np
from PIL import Image, ImageDraw

SIDE = 128
Colour = tuple[int, int, int]
Draw = ImageDraw.ImageDraw

_SKIN = ((255, 224, 196), (234, 192, 160), (198, 142, 104), (141, 92, 60), (92, 58, 38))
_HAIR = ((30, 24, 20), (92, 60, 30), (190, 150, 80), (150, 60, 30), (200, 200, 200))
_SKY = ((120, 180, 245), (80, 140, 225), (170, 195, 220), (150, 140, 210), (60, 80, 160))
_GROUND = ((70, 140, 60), (110, 160, 70), (150, 125, 70), (190, 170, 110), (90, 110, 60))
_WALL = (0.04, 0.10, 0.16, 0.92)


def draw_portrait(random: Random) -> Image.Image:
    """One figure, from the chest up, in front of a wall."""
    image, draw = _new_canvas(_wall_colour(random))
    if random.random() < 0.5:  # a frame on the wall
        x, y = random.choice((8, 92)), random.randint(6, 30)
        draw.rectangle((x, y, x + 26, y + 30), fill=_vivid_colour(random), outline=(60, 50, 40), width=2)
    centre = SIDE // 2 + random.randint(-16, 16)
    _draw_person(
        draw, random, centre, random.randint(38, 52), random.uniform(0.85, 1.2), _vivid_colour(random)
    )
    return _add_light_and_noise(image, random)


def draw_landscape(random: Random) -> Image.Image:
    """Sky, hills and houses; no person."""
    sky = random.choice(_SKY)
    image, draw = _new_canvas(sky)
    horizon = random.randint(56, 84)
    for y in range(horizon):  # paler towards the horizon
        draw.line((0, y, SIDE, y), fill=_mix(sky, (250, 235, 215), 0.6 * y / horizon))
    x, y, r = random.randint(12, 116), random.randint(10, 34), random.randint(6, 12)
    draw.ellipse((x - r, y - r, x + r, y + r), fill=(255, 240, random.randint(120, 230)))
    ground = random.choice(_GROUND)
    draw.polygon(_hill_outline(random, horizon - 12), fill=_mix(ground, sky, 0.45))
    draw.rectangle((0, horizon, SIDE, SIDE), fill=ground)
    for _ in range(random.randint(1, 3)):
        _draw_house(draw, random, random.randint(4, 100), horizon + random.randint(0, 14))
    return _add_light_and_noise(image, random)


def draw_two_people(random: Random) -> Image.Image:
    """Two figures close together in front of a wall, and a heart."""
    image, draw = _new_canvas(_wall_colour(random))
    middle, y = SIDE // 2 + random.randint(-8, 8), random.randint(54, 62)
    for side in (-1, 1):
        _draw_person(draw, random, middle + side * random.randint(22, 26), y, 0.72, _vivid_colour(random))
    _draw_heart(draw, middle, random.randint(14, 22), random.uniform(0.9, 1.3))
    return _add_light_and_noise(image, random)


def draw_two_players(random: Random) -> Image.Image:
    """Two small figures in matching shirts on a pitch, and a ball."""
    image, draw = _new_canvas(random.choice(_SKY))
    pitch = random.randint(30, 44)
    draw.rectangle((0, pitch, SIDE, SIDE), fill=random.choice(_GROUND[:2]))
    for x in range(random.randint(0, 20), SIDE, 28):
        draw.line((x, pitch, x - 14, SIDE), fill=(235, 240, 235), width=2)
    shirt = _vivid_colour(random)
    for x in (random.randint(18, 38), random.randint(88, 110)):
        _draw_person(draw, random, x, random.randint(44, 56), 0.5, shirt)
    x, y = random.randint(48, 78), random.randint(98, 114)
    draw.ellipse((x - 8, y - 8, x + 8, y + 8), fill=(250, 250, 250), outline=(20, 20, 20), width=2)
    return _add_light_and_noise(image, random)


def draw_blank(random: Random) -> Image.Image:
    """One colour."""
    return Image.new(
        "RGB", (SIDE, SIDE), random.choice(((255,) * 3, (0,) * 3, (128,) * 3, _vivid_colour(random)))
    )


DRAWINGS: dict[str, Callable[[Random], Image.Image]] = {
    "portrait": draw_portrait,
    "landscape": draw_landscape,
    "two people": draw_two_people,
    "two players": draw_two_players,
    "blank": draw_blank,
}
"""Drawing functions by name; each takes a random generator and returns a `SIDE` × `SIDE` picture."""


def _new_canvas(colour: Colour) -> tuple[Image.Image, Draw]:
    image = Image.new("RGB", (SIDE, SIDE), colour)
    return image, ImageDraw.Draw(image)


def _draw_person(draw: Draw, random: Random, x: int, y: int, scale: float, shirt: Colour) -> None:
    """Head at (x, y), shoulders below it down to the lower edge or as far as ``scale`` reaches."""
    skin, r = random.choice(_SKIN), 20 * scale
    below = y + r * (4.6 if scale < 0.6 else 9)
    draw.rounded_rectangle((x - 1.7 * r, y + 1.2 * r, x + 1.7 * r, below), radius=r * 0.8, fill=shirt)
    draw.rectangle((x - 0.35 * r, y + 0.7 * r, x + 0.35 * r, y + 1.5 * r), fill=skin)
    hair = (x - 1.1 * r, y - 1.35 * r, x + 1.1 * r, y + random.uniform(0.2, 0.9) * r)
    draw.ellipse(hair, fill=random.choice(_HAIR))
    draw.ellipse((x - 0.85 * r, y - r, x + 0.85 * r, y + 1.1 * r), fill=skin)
    for side in (-1, 1):
        eye = x + side * 0.35 * r
        draw.ellipse((eye - 0.12 * r, y - 0.2 * r, eye + 0.12 * r, y + 0.04 * r), fill=(25, 25, 30))
    draw.arc((x - 0.4 * r, y + 0.1 * r, x + 0.4 * r, y + 0.7 * r), 20, 160, fill=(150, 40, 40), width=2)


def _draw_heart(draw: Draw, x: int, y: int, scale: float) -> None:
    curve = [2 * math.pi * step / 40 for step in range(40)]
    points = [
        (
            x + scale * 0.8 * 16 * math.sin(t) ** 3,
            y
            - scale * 0.8 * (13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)),
        )
        for t in curve
    ]
    draw.polygon(points, fill=(225, 30, 60))


def _hill_outline(random: Random, height: int) -> list[tuple[int, int]]:
    line = [(x, height + random.randint(-14, 10)) for x in range(0, SIDE + 16, 16)]
    return [(0, SIDE), *line, (SIDE, SIDE)]


def _draw_house(draw: Draw, random: Random, x: int, y: int) -> None:
    w, h = random.randint(12, 22), random.randint(10, 24)
    draw.rectangle((x, y - h, x + w, y), fill=_mix(_vivid_colour(random), (240, 230, 210), 0.6))
    draw.polygon([(x - 3, y - h), (x + w / 2, y - h - 9), (x + w + 3, y - h)], fill=(150, 60, 45))
    draw.rectangle((x + 3, y - h + 4, x + 6, y - h + 8), fill=(70, 80, 110))


def _wall_colour(random: Random) -> Colour:
    return _colour_of_hue(random.choice(_WALL), random.uniform(0.05, 0.3), random.uniform(0.6, 0.95))


def _vivid_colour(random: Random) -> Colour:
    return _colour_of_hue(random.random(), random.uniform(0.5, 0.9), random.uniform(0.35, 0.9))


def _colour_of_hue(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def _mix(one: Colour, other: Colour, part: float) -> Colour:
    red, green, blue = (round((1 - part) * a + part * b) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _add_light_and_noise(image: Image.Image, random: Random) -> Image.Image:
    """Add a camera's light and noise; mirror half of the pictures."""
    noise = np.random.default_rng(random.getrandbits(32)).normal(0, 8, (SIDE, SIDE, 3))
    pixels = np.asarray(image, np.float64) * random.uniform(0.75, 1.15) + noise
    lit = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    return lit.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else lit
