"""Files: tables of every ending, tensors, locks, stamps; written whole or not at all."""
