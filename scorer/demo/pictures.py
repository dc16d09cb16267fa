"""Draws the photos of the demo's homes. How well a home is kept shows in them, and nowhere else.

Walls, floors, lawns, windows and furniture turn from grimy and grey to bright and coloured with the condition; stains
and cracks go, flowers and lamps come. Weather, exposure, paint, layout and camera noise vary at random on top.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]  # blue, green, red: OpenCV's order

GRIME: Colour = (96, 104, 108)
PAINTS: tuple[Colour, ...] = ((205, 232, 246), (150, 196, 236), (120, 150, 226), (188, 226, 200), (226, 206, 176))
STOREYS = {"detached": (2, 3), "terraced": (3, 3), "flat": (4, 5), "farmhouse": (2, 4)}
"""Storeys and windows per storey of each kind of home, as its facade shows them."""

# A fixed field of camera noise, cut at a random place for each photo: drawing 500,000 normal deviates a photo would
# take most of the generator's time.
_NOISE = np.random.default_rng(20261124).normal(0.0, 5.0, (720, 960, 3)).astype(np.float32)


@dataclass(frozen=True)
class Scene:
    """What one photo shows."""

    view: str
    """facade, living, kitchen, bath, bedroom or garden."""

    kind: str
    """Kind of home, for the facade."""

    has_garden: bool
    """Lawn in front of the facade, or pavement."""

    condition: float
    """0 (run down) to 1 (immaculate)."""


def draw(scene: Scene, size: tuple[int, int], rng: Generator) -> Pixels:
    """One photo.

    Args:
        scene: what it shows.
        size: width and height in pixels, at most 800 x 600.
        rng: of everything that the scene leaves open.

    Returns:
        uint8 [height, width, 3], blue-green-red.
    """
    width, height = size
    canvas = np.zeros((height, width, 3), np.uint8)
    VIEWS[scene.view](canvas, scene, rng)
    return _photographed(canvas, rng)


def _facade(canvas: Pixels, scene: Scene, rng: Generator) -> None:
    height, width = canvas.shape[:2]
    horizon = int(height * rng.uniform(0.72, 0.80))
    _sky(canvas, horizon, rng)
    _ground(canvas, horizon, scene, rng)
    left, right = int(width * rng.uniform(0.08, 0.18)), int(width * rng.uniform(0.82, 0.92))
    top = int(height * (0.14 if scene.kind == "flat" else rng.uniform(0.30, 0.36)))
    paint = _kept(PAINTS[rng.integers(len(PAINTS))], scene.condition)
    cv2.rectangle(canvas, (left, top), (right, horizon), paint, cv2.FILLED)
    if scene.kind != "flat":
        _roof(canvas, (left, right, top), scene, rng)
    _windows(canvas, (left, top, right, horizon), scene)
    door = (left + int(width * rng.uniform(0.20, 0.42)), horizon)
    corner = (door[0] + width // 14, horizon - height // 8)
    cv2.rectangle(canvas, corner, door, _kept((150, 84, 52), scene.condition), cv2.FILLED)
    _wear(canvas, (left, top, right, horizon), scene.condition, rng)


def _sky(canvas: Pixels, horizon: int, rng: Generator) -> None:
    overcast = rng.uniform()
    zenith = _mix((214, 160, 104), (188, 180, 174), overcast)
    haze = _mix((240, 222, 200), (214, 210, 206), overcast)
    ramp = np.linspace(0.0, 1.0, horizon, dtype=np.float32)[:, None, None]
    canvas[:horizon] = np.asarray(zenith, np.float32) * (1 - ramp) + np.asarray(haze, np.float32) * ramp


def _ground(canvas: Pixels, horizon: int, scene: Scene, rng: Generator) -> None:
    height, width = canvas.shape[:2]
    lawn = _mix((78, 118, 132), (58, 168, 92), scene.condition)
    pavement = _mix((104, 106, 108), (172, 182, 190), scene.condition)
    canvas[horizon:] = lawn if scene.has_garden or scene.view == "garden" else pavement
    for _ in range(round(scene.condition * 9)):
        spot = (int(rng.integers(width)), int(rng.integers(horizon + 4, height)))
        flower = ((70, 80, 235), (60, 200, 250), (215, 120, 225))[rng.integers(3)]
        cv2.circle(canvas, spot, max(2, height // 60), flower, cv2.FILLED, cv2.LINE_AA)


def _roof(canvas: Pixels, box: tuple[int, int, int], scene: Scene, rng: Generator) -> None:
    left, right, top = box
    rise = int(canvas.shape[0] * rng.uniform(0.14, 0.22))
    ridge = [(left + right) // 2] if scene.kind == "detached" else [right - rise, left + rise]
    corners = np.array([(left - 8, top), (right + 8, top), *((x, top - rise) for x in ridge)], np.int32)
    cv2.fillPoly(canvas, [corners], _kept((66, 82, 178), scene.condition), cv2.LINE_AA)


def _windows(canvas: Pixels, box: tuple[int, int, int, int], scene: Scene) -> None:
    left, top, right, bottom = box
    storeys, columns = STOREYS[scene.kind]
    pane = _mix((62, 62, 60), (236, 214, 178), scene.condition)
    frame = _mix((88, 96, 104), (250, 250, 250), scene.condition)
    step_x, step_y = (right - left) / columns, (bottom - top) / storeys
    for storey in range(storeys):
        for column in range(columns):
            x, y = int(left + step_x * (column + 0.27)), int(top + step_y * (storey + 0.24))
            end = (int(x + step_x * 0.46), int(y + step_y * 0.52))
            cv2.rectangle(canvas, (x, y), end, pane, cv2.FILLED)
            cv2.rectangle(canvas, (x, y), end, frame, 2)


def _garden(canvas: Pixels, scene: Scene, rng: Generator) -> None:
    height, width = canvas.shape[:2]
    horizon = int(height * rng.uniform(0.40, 0.50))
    _sky(canvas, horizon, rng)
    _ground(canvas, horizon, scene, rng)
    fence = _kept((92, 140, 186), scene.condition)
    for x in range(0, width, max(6, width // 28)):
        cv2.line(canvas, (x, horizon - height // 9), (x, horizon + 3), fence, max(2, width // 90))
    for _ in range(3):
        foot = int(rng.integers(width))
        leaves = _mix((92, 116, 128), (62, 150, 70), scene.condition)
        cv2.circle(canvas, (foot, horizon - height // 7), height // 9, leaves, cv2.FILLED, cv2.LINE_AA)
    _wear(canvas, (0, horizon, width, height), scene.condition, rng)


Box = tuple[float, float, float, float]
"""Left, top, right and bottom, in shares of the photo."""


@dataclass(frozen=True)
class Room:
    """Colours and furniture of a well-kept room."""

    wall: Colour
    floor: Colour
    cloth: Colour
    furniture: tuple[Box, ...]
    tiled: bool = False


_SOFAS = ((0.10, 0.55, 0.52, 0.80), (0.62, 0.66, 0.88, 0.84))
_CUPBOARDS = ((0.0, 0.52, 0.72, 0.80), (0.0, 0.14, 0.60, 0.30))
_TUB = ((0.08, 0.58, 0.60, 0.84),)
_BED = ((0.26, 0.56, 0.84, 0.88), (0.30, 0.42, 0.80, 0.58))

ROOMS = {
    "living": Room((222, 240, 250), (88, 142, 204), (190, 120, 60), _SOFAS),
    "kitchen": Room((214, 236, 240), (128, 168, 206), (84, 172, 120), _CUPBOARDS),
    "bath": Room((238, 232, 214), (208, 196, 168), (248, 246, 240), _TUB, tiled=True),
    "bedroom": Room((228, 226, 246), (104, 152, 206), (170, 110, 214), _BED),
}


def _interior(canvas: Pixels, scene: Scene, rng: Generator) -> None:
    height, width = canvas.shape[:2]
    room, condition = ROOMS[scene.view], scene.condition
    skirting = int(height * rng.uniform(0.66, 0.74))
    canvas[:skirting], canvas[skirting:] = _kept(room.wall, condition), _kept(room.floor, condition)
    _floorboards(canvas, skirting, _kept(room.floor, condition))
    if room.tiled:
        canvas[: skirting : max(8, height // 14)] = _kept((190, 180, 160), condition)
        canvas[:skirting, :: max(8, height // 14)] = _kept((190, 180, 160), condition)
    # A larger window in a better room: the light that estate agents write about.
    left, pane = rng.uniform(0.66, 0.72), 0.12 + 0.14 * condition
    _box(canvas, (left, 0.12, left + pane, 0.5), _mix((104, 98, 92), (252, 242, 226), condition))
    shift = rng.uniform(-0.04, 0.04)
    for x, top, end, bottom in room.furniture:
        _box(canvas, (x + shift, top, end + shift, bottom), _kept(room.cloth, condition), outlined=True)
    _wear(canvas, (0, 0, width, height), condition, rng)


def _box(canvas: Pixels, box: Box, colour: Colour, outlined: bool = False) -> None:
    height, width = canvas.shape[:2]
    corner, end = (int(box[0] * width), int(box[1] * height)), (int(box[2] * width), int(box[3] * height))
    cv2.rectangle(canvas, corner, end, colour, cv2.FILLED)
    if outlined:
        cv2.rectangle(canvas, corner, end, _mix(colour, (20, 24, 28), 0.6), 1)


def _floorboards(canvas: Pixels, skirting: int, floor: Colour) -> None:
    height, width = canvas.shape[:2]
    gap = _mix(floor, (40, 50, 60), 0.35)
    for x in range(-width, 2 * width, max(10, width // 14)):
        cv2.line(canvas, (width // 2 + (x - width // 2) // 2, skirting), (x, height), gap, 1, cv2.LINE_AA)


def _wear(canvas: Pixels, box: tuple[int, int, int, int], condition: float, rng: Generator) -> None:
    """Damp stains and cracks, the more the worse the condition."""
    left, top, right, bottom = box
    damp = canvas.copy()
    for _ in range(round((1.0 - condition) * 14)):
        x, y = int(rng.integers(left, right)), int(rng.integers(top, bottom))
        axes = (int(rng.integers(4, 8 + canvas.shape[1] // 12)), int(rng.integers(4, 8 + canvas.shape[0] // 16)))
        cv2.ellipse(damp, (x, y), axes, float(rng.uniform(0, 180)), 0, 360, (52, 62, 70), cv2.FILLED, cv2.LINE_AA)
        x, y = int(rng.integers(left, right)), int(rng.integers(top, bottom))
        bend, end = (x + int(rng.integers(-14, 15)), y + 12), (x + int(rng.integers(-22, 23)), y + 30)
        cv2.polylines(canvas, [np.array([(x, y), bend, end], np.int32)], False, (44, 48, 52), 1, cv2.LINE_AA)
    cv2.addWeighted(canvas, 0.5, damp, 0.5, 0.0, dst=canvas)


def _photographed(canvas: Pixels, rng: Generator) -> Pixels:
    """Exposure, light from one side and camera noise: what a photo has and a drawing has not."""
    height, width = canvas.shape[:2]
    y, x = int(rng.integers(_NOISE.shape[0] - height)), int(rng.integers(_NOISE.shape[1] - width))
    slope = rng.uniform(-0.10, 0.10)
    light = np.float32(rng.uniform(0.90, 1.06)) * np.linspace(1 - slope, 1 + slope, width, dtype=np.float32)
    exposed = canvas * light[None, :, None] + _NOISE[y : y + height, x : x + width]
    photo: Pixels = np.clip(exposed, 0, 255).astype(np.uint8)
    return photo


def _kept(colour: Colour, condition: float) -> Colour:
    """The colour of a surface under its grime."""
    return _mix(GRIME, colour, 0.12 + 0.88 * condition)


def _mix(first: Colour, second: Colour, share: float) -> Colour:
    """From the first colour (share 0) to the second (share 1)."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


VIEWS: dict[str, Callable[[Pixels, Scene, Generator], None]] = {
    "facade": _facade,
    "living": _interior,
    "kitchen": _interior,
    "bath": _interior,
    "bedroom": _interior,
    "garden": _garden,
}
"""What a photo can show. A home's first photo is its facade."""
