"""One module per schema change, applied in order and never edited once released."""
