"""Fitting a classifier: the trainer and its parts.

Start reading at :meth:`ws_pipeline.classification.training.trainer.Trainer.fit`.

- what is trained on, in which order: ``batch_schedulers``, ``class_weights``;
- one step: ``updates``, ``fused_step``, ``precision``;
- stopping and going on: ``state``, ``fingerprint``, ``checkpointer``, ``interrupts``, ``early_stopping``,
  ``metric_modes``, ``known_metrics``, ``trainer_file``;
- what is written down: ``log_manager``, ``log_writer``, ``tensorboard_writer``, ``json_values``;
- settings to parts: ``nested_settings``, ``parts``, ``run``.
"""
