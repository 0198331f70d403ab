"""Judging what was trained: figures of pictures, runs side by side, what people look at."""
