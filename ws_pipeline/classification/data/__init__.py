"""Features and labels as the end model reads them: datasets, batches, and how they come from examples."""
