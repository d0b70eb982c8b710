"""What a training writes down while it runs: counters of its progress, JSON lines and TensorBoard."""
