"""In and out: predictions made elsewhere, exports, citations."""
