"""Features made of text: fitted on the train split, kept in a file, applied to any text later."""
