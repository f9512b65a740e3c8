"""The pictures: each function draws one for a view, and raises NotShown where a network does not have it."""
