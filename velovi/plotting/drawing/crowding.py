"""Room for texts that would run into each other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from velovi.plotting.drawing.page import Page
from velovi.plotting.drawing.props import Numbers, pick
from velovi.plotting.drawing.ticks import turn_labels
from velovi.plotting.drawing.words import Words

_MOST = 60  # names on a map; more find no room whatever is done
_ROUNDS = 60
_FARTHEST = 1.6  # font sizes that a name moves up or down from its place
_SIZES = (1.0, 0.85, 0.7)  # of names, tried one after the other
_SMALLEST, _SHRINK = 0.6, 0.93


def part_names(page: Page, renderer: Any) -> None:
    """Move names of groups until they are apart and within the plots, or as far as they may go."""
    shown = [one for one in page.names if one.get_visible()]
    if not 0 < len(shown) <= _MOST:
        return
    pixel = float(renderer.points_to_pixels(1.0))
    low, high = (float(one) for one in page.paper.transform([(0, 0), (1, 1)])[:, 0])
    for scale in _SIZES:
        for one in shown:
            one.scale, one.moved = scale, (0.0, 0.0)
        boxes = np.array([one.get_window_extent(renderer).extents for one in shown])
        across = _inside(boxes, low, high)
        boxes[:, [0, 2]] += across[:, None]
        most = np.array([_FARTHEST * one.size * pixel for one in shown])
        up = _apart(boxes, most)
        for one, x, y in zip(shown, across, up, strict=True):
            one.moved = (float(x) / pixel, float(y) / pixel)
        if np.max(_overlap(boxes, up), initial=0.0) < 2.0:
            return


def _inside(boxes: Numbers, low: float, high: float) -> Numbers:
    """Shifts to the right (boxes,) after which boxes lie between two places, if they fit."""
    right = np.maximum(low - boxes[:, 0], 0.0)
    left = np.maximum(boxes[:, 2] - high, 0.0)
    wide = boxes[:, 2] - boxes[:, 0] > high - low
    return np.where(wide, (low + high - boxes[:, 0] - boxes[:, 2]) / 2, right - left)


def _overlap(boxes: Numbers, shift: Numbers) -> Numbers:
    """How far boxes that stand side by side overlap in height (boxes, boxes)."""
    beside = (boxes[:, None, 0] < boxes[None, :, 2]) & (boxes[None, :, 0] < boxes[:, None, 2])
    np.fill_diagonal(beside, val=False)
    middle, half = (boxes[:, 1] + boxes[:, 3]) / 2 + shift, (boxes[:, 3] - boxes[:, 1]) / 2
    missing = half[:, None] + half[None] - np.abs(middle[:, None] - middle[None])
    return np.where(beside, np.maximum(missing, 0.0), 0.0)


def _apart(boxes: Numbers, most: Numbers) -> Numbers:
    """Shifts upwards (boxes,) after which boxes (boxes, 4) of x0, y0, x1, y1 overlap least."""
    middle = (boxes[:, 1] + boxes[:, 3]) / 2
    shift = np.zeros(len(boxes))
    # equally high names part by their order
    order = np.sign(np.arange(len(boxes))[:, None] - np.arange(len(boxes))[None])
    for _ in range(_ROUNDS):
        missing = _overlap(boxes, shift)
        if np.max(missing, initial=0.0) < 0.5:
            break
        away = (middle + shift)[:, None] - (middle + shift)[None]
        way = np.where(away == 0, order, np.sign(away))
        shift = np.clip(shift + 0.3 * (missing * way).sum(axis=1), -most, most)
    return shift


def shrink_titles(titles: Sequence[Words], renderer: Any) -> None:
    """Make titles of panels smaller, all alike, until none runs into another."""
    for one in titles:
        one.scale = 1.0
    while len(titles) > 1 and titles[0].scale > _SMALLEST:
        boxes = np.array([one.get_window_extent(renderer).extents for one in titles])
        across = (boxes[:, None, 0] < boxes[None, :, 2]) & (boxes[None, :, 0] < boxes[:, None, 2])
        down = (boxes[:, None, 1] < boxes[None, :, 3]) & (boxes[None, :, 1] < boxes[:, None, 3])
        if not np.triu(across & down, k=1).any():
            return
        for one in titles:
            one.scale *= _SHRINK


def part_labels(page: Page, renderer: Any) -> None:
    """Turn the labels of x axes that run into each other."""
    for panel in page.panels.values():
        axis, props = panel.axes.xaxis, panel.x.props
        if not axis.get_visible() or pick(props, "tickangle") is not None:
            continue
        texts = [one for one in axis.get_ticklabels() if one.get_visible() and one.get_text()]
        if len(texts) < 2 or any(one.get_rotation() for one in texts):
            continue
        extents = sorted((one.get_window_extent(renderer) for one in texts), key=lambda b: b.x0)
        if not any(a.x1 + 1 > b.x0 for a, b in pairwise(extents)):
            continue
        distance = abs(texts[1].get_window_extent(renderer).x0 - extents[0].x0) or 1.0
        tight = 1.2 * max(one.height for one in extents) > distance
        turn_labels(axis, -90.0 if tight else -45.0, str(pick(props, "side", "bottom")))
