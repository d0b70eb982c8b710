"""The log of a training: counters of its progress, JSON lines and TensorBoard."""
