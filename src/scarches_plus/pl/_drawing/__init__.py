"""Draw parts that figures share: axes, boxes, texts, columns of ``obs``."""
