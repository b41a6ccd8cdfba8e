"""A user's own images: their names, layouts, decoding, and the cache of what was decoded."""
