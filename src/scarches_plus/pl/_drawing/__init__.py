"""Parts of figures: axes, boxes, texts, columns of ``obs``."""
