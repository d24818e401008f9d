"""Match names of cell types: their words, abbreviations and synonyms, and terms of ontologies."""
