"""Segmentation of video: frames in, one class mask a frame out."""

from __future__ import annotations

from harness.spec.default_space import tensor_space
from harness.spec.tasks import Task

TASKS = (Task("video-segmentation", hub="image-segmentation", space=tensor_space),)
SEGMENTATION = frozenset(task.name for task in TASKS)
