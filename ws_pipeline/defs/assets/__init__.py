"""The assets, in the order of the data: ingest, labeling, classification; and the check of the labels."""
