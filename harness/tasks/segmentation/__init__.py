"""Segmentation of video: frames in, one class mask a frame out."""
