"""For users of Snorkel: its names, and parts of its workflow that the pipeline does not use.

- :mod:`.snorkel`: register all of it under the name ``snorkel``;
- :mod:`.slicing`, :mod:`.slice_tasks`, :mod:`.slice_aware_classifier`: subsets of the data that matter, in
  scores and in the model;
- :mod:`.augmentation`: changed copies of training examples;
- :mod:`.arrays`, :mod:`.tensors`, :mod:`.nested_config`, :mod:`.types`, :mod:`.elsewhere`: small helpers
  and names.

- :mod:`.nested_settings`: settings in Snorkel's nested form, which the label model and the trainer take too.

Nothing outside of this folder imports any other module of it.
"""
