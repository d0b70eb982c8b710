"""From data points to votes: labeling functions, preprocessors and the appliers that run them."""
